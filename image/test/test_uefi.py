"""The whole of it as on a laptop: firmware, boot stick, ledger's disk and the founders' stick, all on USB; everything is typed on the keyboard, and
each page that awaits keys is kept as a picture of the screen.
"""

from __future__ import annotations

from home import PASSPHRASE
from machine import Disk, Machine
from stage import Stage, inserted, must, paper_head, pulled, session
from sticks import MIB, noise
from test_founding import first_visit, second_visit, signed
from visit import ENTER, ESCAPE, PAGE_SECONDS, Visit

FIRST_PAGE_SECONDS = 300


def uefi(stage: Stage) -> str:
    """From a cold boot and an empty disk to a consumer's checkout, with nobody touching a shell of the appliance."""
    home, data = stage.home(), stage.empty()
    boot = stage.image / "boot.img"
    founders = stage.stick("founders", "fat32", home.founders_stick())
    disks = [Disk(boot, "boot", boot=True, read_only=True), Disk(data.file, "data")]
    seconds = []

    def start(name: str) -> tuple[Machine, Visit]:
        machine = Machine(stage.out, disks=disks, name=name, network=True)
        return machine, Visit(machine, by_keyboard=True)

    machine, visit = start("1-founding")
    with machine:
        visit.page("An empty data disk", seconds=FIRST_PAGE_SECONDS)
        seconds.append(machine.seconds())
        # Everything is in memory: the boot stick goes back to its owner.
        machine.pull("boot")
        first_visit(visit, Disk(founders.file, "founders"))
        visit.page("The charter waits for signatures")
        machine.pull("founders")
        visit.on("The charter waits for signatures", "p", "no stick is inserted")
        visit.switch_off()
    signed(home, founders)
    machine, visit = start("2-founded")
    with machine:
        visit.page("The charter waits for signatures", seconds=FIRST_PAGE_SECONDS)
        machine.plug(Disk(founders.file, "founders"))
        visit.page("The charter waits for signatures", r"\[ ok \] the first stick, ")
        fingerprint, head = second_visit(visit)
        visit.page("Home", "common@1")
        machine.pull("founders")
        visit.on("Home", "h", "no stick is inserted")
        visit.on("The head as a code", ENTER)
        visit.on("Home", "c")
        visit.on("The clock", ESCAPE)
        visit.on("Home", "m")
        text = visit.on("This machine", ENTER)
        must("Secure Boot is off" in text, f"the page on this machine does not know of Secure Boot:\n{text}")
        visit.on("Home", "p")
        visit.switch_off()
    home.pin(fingerprint, home.brought_back("first", founders.read()))
    red = stage.stick("red", "fat32", home.propose("alice", "tools/editor", b"the editor, by alice\n") | {"holiday.txt": b"sun"})
    blue = stage.stick("blue", "exfat", home.propose("james", "manual/radio", b"Answer once.\n"))
    machine, visit = start("3-session")
    with machine:
        visit.on("The last head", "7 hamster diagram private dutch cause delay\n", seconds=FIRST_PAGE_SECONDS)
        # A head that this disk never had: nothing happened by typing it.
        visit.on("This disk is an old copy", ESCAPE)
        visit.on("The last head", f"{head}\n")
        visit.page("Home")
        names = {disk: inserted(visit, Disk(stage.out / f"{disk}.img", disk)) for disk in ("red", "blue")}
        session(visit, PASSPHRASE, 2, 2, "ACCEPTED", "PENDING")
        visit.on("Safe to remove", ENTER, "Session: number 1: 2 papers")
        paper_head(visit)
        visit.page("Home", "common@2")
        for disk, name in names.items():
            pulled(visit, disk, name)
        visit.press("p")
        visit.switch_off()
    for stick in (founders, red, blue, data):
        stick.check()
    home.brought_back("red", red.read())
    home.run("collect red --pin alice/common.pin")
    home.run("advance red --pin consumer/common.pin")
    home.run("verify red --pin consumer/common.pin")
    home.run("checkout red consumer/files --pin consumer/common.pin")
    must((home.folder / "consumer/files/tools/editor").read_bytes() == b"the editor, by alice\n", "the editor is not what alice proposed")
    pictures = len(list(stage.out.glob("*.png")))
    return f"cold boot to first page {seconds[0]:.1f} s; founded, signed, one session, checked out at home; {pictures} pictures"


def uefi_troubles(stage: Stage) -> str:
    """The pages that nobody wants to see, on the screen as well: two ledgers, sticks that are of no use, a ledger's disk that fails."""
    home = stage.home()
    data, other = stage.founded(home), stage.empty("other")
    junk = noise(stage.out / "noise.img")
    red = stage.stick("red", "fat32", home.propose("alice", "tools/editor", b"the editor, by alice\n"))
    blue = stage.stick("blue", "fat16", home.propose("james", "tools/viewer", b"the viewer, by james\n"), size=16 * MIB)
    disks = [Disk(stage.image / "boot.img", "boot", boot=True, read_only=True), Disk(data.file, "data", bus="nvme"), Disk(other.file, "other")]
    with Machine(stage.out, disks=disks) as machine:
        visit = Visit(machine, by_keyboard=True)
        visit.page("Two ledgers", seconds=FIRST_PAGE_SECONDS)
        machine.pull("other")
        number, first, rest = home.head().split(" ", 2)
        visit.on("The last head", f"{number} {'zebra' if first != 'zebra' else 'abandon'} {rest}\n")
        visit.on("The last head", f"{home.head()}\n", "word 1: ")
        visit.page("Home")
        name = inserted(visit, Disk(junk, "noise"), usable=False)
        pulled(visit, "noise", name)
        name = inserted(visit, Disk(red.file, "red", read_only=True))
        session(visit, PASSPHRASE, 1, 2)
        visit.on("Not every stick has its results", ENTER)
        paper_head(visit)
        visit.page("Home")
        pulled(visit, "red", name)
        inserted(visit, Disk(blue.file, "blue"))
        visit.press(ENTER)
        visit.on("What the sticks bring", ENTER)
        visit.on("Paper 1 of 1", ENTER)
        visit.page("Confirm")
        machine.fail_from_now_on("data", "flush")
        visit.press("3\n")
        visit.on("The desk's own disk failed", ENTER)
        machine.wait_for_end(PAGE_SECONDS)
    pictures = len(list(stage.out.glob("*.png")))
    return f"two ledgers, a wrong word, noise, a locked stick, a failing disk: {pictures} pictures"


TESTS = [uefi, uefi_troubles]
