"""Sticks that cannot be used, are full, are pulled out in the middle, give errors; and the ledger's disk that does. What was confirmed stands."""

from __future__ import annotations

from home import PASSPHRASE, Home
from machine import Disk
from stage import Stage, inserted, must, paper_head, pulled, session
from sticks import MIB, Stick, digest, noise, ntfs_like
from visit import ENTER, Visit

WRITE_SECONDS = 150
# Slow enough that a stick can be pulled out between the first write and the last.
SLOW_BYTES = 64 * 1024


def write_all(visit: Visit, *having: str) -> str:
    """From the page Home: everything that was published, to the sticks that are inserted. The page of the end is left open."""
    visit.press("e")
    visit.on("Write all to a stick", ENTER)
    return visit.page("Safe to remove", *having)


def unusable(stage: Stage) -> str:
    """Noise, NTFS, a stick that cannot be written, one without room; then a good one, on which everything is."""
    home = stage.home()
    data = stage.founded(home)
    paper = home.propose("alice", "tools/editor", b"the editor, by alice\n")
    junk, ntfs = noise(stage.out / "noise.img"), ntfs_like(stage.out / "ntfs.img")
    locked = stage.stick("locked", "fat16", paper, size=16 * MIB)
    full = filled(stage, {})
    good = stage.stick("good", "fat16", size=16 * MIB)
    before = [digest(file) for file in (junk, ntfs, locked.file)]
    with stage.machine([Disk(data.file, "data", bus="nvme")]) as machine:
        visit = stage.begins(machine, home.head())
        for file in (junk, ntfs):
            name = inserted(visit, Disk(file, file.stem), usable=False)
            must("[Enter]" not in visit.text, f"a stick that cannot be used can be:\n{visit.text}")
            pulled(visit, file.stem, name)
        name = inserted(visit, Disk(locked.file, "locked", read_only=True))
        session(visit, PASSPHRASE, 1, 2, "becomes common@2")
        visit.on("Not every stick has its results", ENTER, rf"\({name}\) does NOT have its results", "own book is complete")
        head = paper_head(visit)
        visit.page("Home", "common@2")
        pulled(visit, "locked", name)
        name = inserted(visit, Disk(full.file, "full"))
        visit.press("e")
        visit.on("Write all to a stick", ENTER)
        visit.on("Not every stick has its results", ENTER, rf"\({name}\) does NOT have its results", "No space left|no room|full")
        visit.page("Home")
        pulled(visit, "full", name)
        inserted(visit, Disk(good.file, "good"))
        write_all(visit, "SAFE TO REMOVE")
        visit.press(ENTER)
        visit.page("Home", "common@2")
        visit.press("p")
        visit.switch_off()
    must([digest(file) for file in (junk, ntfs, locked.file)] == before, "a stick that cannot be used was written to")
    full.check()
    must(full.read()["holiday.raw"] == bytes(len(full.read()["holiday.raw"])), "what was on the full stick is another")
    comes_home(home, good, 2)
    must(head.startswith("2 "), head)
    return "noise, NTFS, locked, full: each told on the page, not written to or as it was; the ledger stands, a good stick has everything"


def filled(stage: Stage, content: dict[str, bytes]) -> Stick:
    """A stick of 16 MiB with room for a few files of 2 KiB."""
    return stage.stick("full", "fat16", {**content, "holiday.raw": bytes(16 * MIB - 72 * 1024)}, size=16 * MIB)


def comes_home(home: Home, stick: Stick, number: int) -> None:
    """A stick that is whole for its own checker and for the program, and leads to this number."""
    stick.check()
    brought = home.brought_back(stick.file.stem, stick.read())
    said = home.run(f"advance {brought} --pin consumer/common.pin")
    must(f"common@{number}" in said, f"common@{number} is not there:\n{said}")
    home.run(f"verify {brought} --pin consumer/common.pin")


def pulled_out(stage: Stage) -> str:
    """A stick is pulled out at Home, then one while its results are written; the same stick comes again and gets them."""
    home = stage.home()
    data = stage.founded(home)
    stick = stage.stick("red", "fat32", home.propose("alice", "tools/editor", b"the editor, by alice\n"))
    with stage.machine([Disk(data.file, "data", bus="nvme")]) as machine:
        visit = stage.begins(machine, home.head())
        name = inserted(visit, Disk(stick.file, "calm"))
        pulled(visit, "calm", name)
        inserted(visit, Disk(stick.file, "red", slow=SLOW_BYTES))
        machine.tell_first_write("red")
        session(visit, PASSPHRASE, 1, 2)
        machine.wait_for_write("red", WRITE_SECONDS)
        machine.pull("red")
        visit.on("Not every stick has its results", ENTER, "does NOT have its results", "own book is complete")
        paper_head(visit)
        visit.page("Home", "common@2", "no stick is inserted")
        inserted(visit, Disk(stick.file, "again"))
        write_all(visit, "SAFE TO REMOVE")
        visit.press(ENTER)
        visit.page("Home", "common@2")
        machine.pull("again")
        visit.on("Home", "p", "no stick is inserted")
        visit.switch_off()
    home.run(f"collect {home.brought_back('red', stick.read())} --pin alice/common.pin")
    data.check()
    return "pulled between the first write and the last: told, common@2 stands, the same stick gets everything when it comes again"


def stick_errors(stage: Stage) -> str:
    """A stick that can be read and gives errors when it is written: given up; the ledger stands, the next stick has everything."""
    home = stage.home()
    data = stage.founded(home)
    bad = stage.stick("bad", "ext4", home.propose("alice", "tools/editor", b"the editor, by alice\n"))
    good = stage.stick("good", "exfat")
    with stage.machine([Disk(data.file, "data", bus="nvme")]) as machine:
        visit = stage.begins(machine, home.head())
        name = inserted(visit, Disk(bad.file, "bad"))
        machine.fail_from_now_on("bad", "write")
        session(visit, PASSPHRASE, 1, 2)
        visit.on("Not every stick has its results", ENTER, rf"\({name}\) does NOT have its results")
        paper_head(visit)
        visit.page("Home", "common@2")
        pulled(visit, "bad", name)
        inserted(visit, Disk(good.file, "good"))
        write_all(visit, "SAFE TO REMOVE")
        visit.press(ENTER)
        visit.on("Home", "p")
        visit.switch_off()
    comes_home(home, good, 2)
    return "errors while results are written: the stick is given up and named, the ledger stands, the next stick has everything"


def ledger_errors(stage: Stage) -> str:
    """The ledger's disk fails to flush from the moment of confirmation: nothing is acknowledged, and nothing more is tried before a new start."""
    home = stage.home()
    data = stage.founded(home)
    stick = stage.stick("red", "fat32", home.propose("alice", "tools/editor", b"the editor, by alice\n"))
    with stage.machine([Disk(data.file, "data", bus="nvme")], name="first") as machine:
        visit = stage.begins(machine, home.head())
        inserted(visit, Disk(stick.file, "red"))
        visit.press(ENTER)
        visit.on("What the sticks bring", ENTER)
        visit.on("The passphrase", f"{PASSPHRASE}\n")
        visit.on("Paper 1 of 1", ENTER)
        visit.page("Confirm")
        machine.fail_from_now_on("data", "flush")
        visit.press("2\n")
        visit.on("The desk's own disk failed", ENTER, "Nothing more is tried", "Rule: [a-z-]+")
        machine.wait_for_end(WRITE_SECONDS)
    must(not any(path.startswith("tabellion/results") for path in stick.read()), "results are on the stick of a session that failed")
    with stage.machine([Disk(data.file, "data", bus="nvme")], name="second") as machine:
        visit = Visit(machine)
        visit.on("The last head", f"{home.head()}\n")
        title, text = visit.next_page()
        # Whether the session is on the disk nobody knows after such an error; both are sound, and the operator is told which.
        must(title in ("Home", "One session ahead"), f"the page {title!r} came after the error:\n{visit.text}")
        at = "common@1, as before" if title == "Home" else "common@2, and the operator is told"
        must(title != "Home" or "common@1" in text, f"Home does not stand at common@1:\n{text}")
    return f"flushes fail: the desk latches, no results on the stick; the next start stands at {at}"


TESTS = [unusable, pulled_out, stick_errors, ledger_errors]
