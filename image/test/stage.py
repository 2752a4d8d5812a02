"""What every test stands on: an image that was built, the program out of it, machines that start it, disks with a witness, and a folder for what
is kept. A test is a function that takes a stage and gives back, in a few words, what was seen; it fails by raising.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from home import Home, program_of
from machine import Direct, Disk, Machine
from sticks import MIB, Stick, copied, with_folder
from visit import ENTER, Visit

# Five times what is promised: 30 s from power on to the first page that awaits keys, under emulation.
BOOT_SECONDS_MAX = 150


class Broken(Exception):
    """Something that must hold does not."""


def must(holds: object, says: str) -> None:
    """Fails with a sentence."""
    if not holds:
        raise Broken(says)


class Stage:
    """One test's stage."""

    def __init__(self, image: Path, out: Path) -> None:
        self.image = image
        self.out = out
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        self.program = program_of(image / "initrd.zst", out / "program")
        self._visits: list[Visit] = []

    def machine(self, disks: list[Disk], *, name: str = "machine", network: bool = False) -> Machine:
        """A machine that starts the image's kernel without firmware."""
        direct = Direct(self.image / "vmlinux", self.image / "initrd.zst", (self.image / "cmdline").read_text())
        return Machine(self.out, direct=direct, disks=disks, network=network, name=name)

    def home(self) -> Home:
        """Everybody's machines at home."""
        return Home(self.program, self.out / "home")

    def empty(self, name: str = "data") -> Stick:
        """The ledger's disk as it comes out of the image's build."""
        copy = self.out / f"{name}.img"
        copied(self.image / "data.img", copy)
        return Stick(copy, "ext4", True)

    def founded(self, home: Home) -> Stick:
        """The ledger's disk with a witness that was founded at home."""
        return with_folder(self.image / "data.img", home.found(), "desk", self.out / "data.img")

    def stick(self, name: str, kind: str, content: dict[str, bytes] | None = None, *, size: int = 64 * MIB, has_partition: bool = True) -> Stick:
        """A stick with this content."""
        return Stick.make(self.out / f"{name}.img", kind, content, size=size, has_partition=has_partition)

    def begins(self, machine: Machine, head: str) -> Visit:
        """A visit up to the page Home, with this head on the operator's paper."""
        visit = Visit(machine)
        visit.on("The last head", f"{head}\n")
        visit.page("Home")
        return visit


def inserted(visit: Visit, disk: Disk, *, usable: bool = True) -> str:
    """Plugs a stick at the page Home, and waits until it is on the page as one that can be used, or cannot; gives back its name there.

    A stick is seen before its partitions are, so that the page may say something else for a moment.
    """
    sticks = (r"\[ ok \] " if usable else r"\[ !! \] cannot be used: ") + r"the \w+ stick,[^\[]*?\((sd\w+)\)"
    before = set(re.findall(sticks, visit.text))
    visit.machine.plug(disk)
    while True:
        new = set(re.findall(sticks, visit.page("Home"))) - before
        if new:
            return new.pop()


def pulled(visit: Visit, name: str, stick: str) -> None:
    """Pulls a stick at the page Home, and waits until it is gone from the page."""
    visit.machine.pull(name)
    while re.search(rf"\({stick}\)", visit.page("Home")):
        pass


def session(visit: Visit, passphrase: str | None, papers: int, number: int, *having: str) -> str:
    """From the page Home with sticks inserted up to the page with what became of them; gives back the text of all papers."""
    visit.press(ENTER)
    visit.on("What the sticks bring", ENTER, f"{papers} papers? to be judged")
    if passphrase is not None:
        visit.on("The passphrase", f"{passphrase}\n")
    text = "".join(visit.on(f"Paper {at} of {papers}", ENTER) for at in range(1, papers + 1))
    for each in having:
        must(re.search(each, text), f"the papers do not have {each!r}:\n{text}")
    visit.on("Confirm", f"{number}\n", rf"common@{number} ")
    return text


def paper_head(visit: Visit) -> str:
    """The head that the page has written down, as it is typed next time."""
    text = visit.on("Write down the head", ENTER)
    number, words = re.search(r"Number: (\d+) Words: ((?:[a-z]+ +){5}[a-z]+)", text).groups()  # type: ignore[union-attr]
    return f"{number} {' '.join(words.split())}"


Test = Callable[[Stage], str]
