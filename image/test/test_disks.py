"""Which disk the ledger is looked for on: none, one that only bears its name, two. What is not taken is not written to."""

from __future__ import annotations

from machine import Disk
from stage import Stage, must
from sticks import Stick, digest
from visit import Visit

NAMED = ["-L", "tabellion-data"]


def no_ledger(stage: Stage) -> str:
    """No disk; a stick of somebody; a disk with the name alone; then the right one, and the start goes on by itself."""
    others = stage.stick("others", "fat32", {"holiday.txt": b"sun"})
    foreign = Stick.make(stage.out / "foreign.img", "ext4", {"readme": b"not a ledger"}, options=NAMED)
    data = stage.empty()
    before = digest(others.file), digest(foreign.file)
    with stage.machine([]) as machine:
        visit = Visit(machine)
        visit.page("Looking for the ledger", "No disk or stick with the label tabellion-data")
        # Nothing on the page changes by this one.
        machine.plug(Disk(others.file, "others"))
        machine.plug(Disk(foreign.file, "foreign"))
        visit.page("This is not a ledger that can be used", r"\[ledger-disk\]", "found: .*tabellion-data")
        machine.pull("foreign")
        visit.page("Looking for the ledger")
        machine.plug(Disk(data.file, "data"))
        visit.on("An empty data disk", "p")
        visit.switch_off()
    must((digest(others.file), digest(foreign.file)) == before, "a disk was written to that was not taken")
    return "none, a stick, a foreign one: a page each, not a bit written; the right one later: the start goes on"


def two_ledgers(stage: Stage) -> str:
    """Two disks that both bear the name: neither is opened. One is pulled out, and the start goes on with the other."""
    one, two = stage.empty("one"), stage.empty("two")
    before = digest(one.file)
    with stage.machine([Disk(one.file, "one", bus="ahci"), Disk(two.file, "two")]) as machine:
        visit = Visit(machine)
        visit.page("Two ledgers", "2 disks are labelled tabellion-data", "Neither was opened")
        must(digest(one.file) == digest(two.file) == before, "one of two disks was written to")
        machine.pull("two")
        visit.on("An empty data disk", "p")
        visit.switch_off()
    must(digest(two.file) == before, "the disk that was pulled out was written to")
    one.check()
    return "two: a page, not a bit written to either; one pulled out: the start goes on"


TESTS = [no_ledger, two_ledgers]
