"""Papers of two people over three sticks and two starts, and what everybody finds at home."""

from __future__ import annotations

from home import PASSPHRASE, Home
from machine import Disk
from stage import Stage, inserted, must, paper_head, pulled, session
from sticks import Stick
from visit import ENTER


def story(stage: Stage) -> str:
    """Two sticks in one session, a third after a second start; receipts, verification and a checkout at home."""
    home = stage.home()
    data = stage.founded(home)
    red = stage.stick("red", "fat32", home.propose("alice", "tools/editor", b"the editor, by alice\n") | {"holiday.txt": b"sun"})
    white = stage.stick("white", "exfat", home.propose("james", "tools/viewer", b"the viewer, by james\n"), has_partition=False)
    with stage.machine([Disk(data.file, "data", bus="ahci")], name="first") as machine:
        visit = stage.begins(machine, home.head())
        names = {disk: inserted(visit, Disk(stage.out / f"{disk}.img", disk)) for disk in ("red", "white")}
        session(visit, PASSPHRASE, 2, 3, "Signed by: alice", "Signed by: james", "becomes common@2", "becomes common@3")
        safe = visit.on("Safe to remove", ENTER, "Pull the sticks out now", "Session: number 1: 2 papers, 2 accepted")
        must(safe.count("SAFE TO REMOVE") == 2, f"not each stick is safe:\n{safe}")
        head = paper_head(visit)
        visit.page("Home", "common@3")
        for disk, name in names.items():
            pulled(visit, disk, name)
        visit.press("p")
        visit.switch_off()
    for stick, name in ((red, "alice"), (white, "james")):
        stick.check()
        brought = home.brought_back(stick.file.stem, stick.read())
        home.run(f"collect {brought} --pin {name}/common.pin")
        home.run(f"verify {brought} --pin {name}/common.pin")
    must((home.folder / "red/holiday.txt").read_bytes() == b"sun", "a file of a stick's owner is another")
    home.run("advance white --pin consumer/common.pin")
    home.run("checkout white consumer/files --pin consumer/common.pin")
    must((home.folder / "consumer/files/tools/editor").read_bytes() == b"the editor, by alice\n", "the editor is not what alice proposed")

    # The third stick, without a partition as a large floppy disk has none: one paper that is approved by both, and one that is stale.
    home.run("advance red --pin alice/common.pin")
    manual = home.propose("alice", "manual/radio", b"Answer once.\n", "red")
    stale = home.propose("james", "tools/editor", b"another editor, by james\n", "first")
    bundle = home.folder / "manual.bundle"
    bundle.write_bytes(manual["tabellion/inbox/manual-radio.bundle"])
    home.run("approve manual.bundle --key james/key --passphrase-file james/passphrase --yes")
    blue = stage.stick("blue", "ext4", stale | {"tabellion/inbox/manual-radio.bundle": bundle.read_bytes()}, has_partition=False)
    with stage.machine([Disk(data.file, "data", bus="ahci"), Disk(blue.file, "blue")], name="second") as machine:
        visit = stage.begins(machine, head)
        if "[ ok ] the first stick, " not in visit.text:
            visit.page("Home", r"\[ ok \] the first stick, ")
        session(visit, PASSPHRASE, 2, 4, "Signed by: (alice, james|james, alice)", "becomes common@4", "REFUSED:")
        visit.on("Safe to remove", ENTER, "2 papers, 1 (accepted|refused), 1 (accepted|refused)")
        paper_head(visit)
        visit.on("Home", "p", "common@4")
        visit.switch_off()
    check_at_home(home, blue)
    data.check()
    return "3 sticks (FAT32, exFAT, ext4), 2 starts, 4 papers: collected, advanced, verified and checked out at home; all file systems clean"


def check_at_home(home: Home, blue: Stick) -> None:
    """What the third stick brings: a receipt with a refusal, the next numbers, and the manual."""
    blue.check()
    home.brought_back("blue", blue.read())
    must("expectation-failed" in home.run("collect blue --pin james/common.pin", 1), "james was not told why")
    home.run("collect blue --pin alice/common.pin")
    home.run("advance blue --pin consumer/common.pin")
    home.run("verify blue --pin consumer/common.pin")
    home.run("checkout blue consumer/with-manual --pin consumer/common.pin")
    must((home.folder / "consumer/with-manual/manual/radio").read_bytes() == b"Answer once.\n", "the manual is not what was approved")


TESTS = [story]
