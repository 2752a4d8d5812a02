"""A witness is founded at the console, in two visits, with a die; the founders sign at home."""

from __future__ import annotations

import random
import re

from home import PASSPHRASE, Home
from machine import Disk, Machine
from stage import Stage, must, paper_head
from sticks import Stick
from visit import ENTER, ESCAPE, Visit


def rolls(seed: int) -> str:
    """Fifty rolls of a die, the same for the same seed."""
    return "".join(random.Random(seed).choices("123456", k=50))


def first_visit(visit: Visit, stick: Disk) -> None:
    """From the page of an empty data disk to the drafted charter on the stick."""
    visit.press("f")
    visit.page("Founding: the founders' stick", "no stick is inserted")
    visit.machine.plug(stick)
    visit.on("Founding: the founders' stick", ENTER, r"\[ ok \] the first stick, ")
    visit.on("Founding: the first policy", ENTER, "witness.example/common", "alice")
    visit.on("Founding: the die", "1111111\n", "0 *%|0 of 50|rolls")
    visit.on("Founding: the die", "789\n")
    visit.on("Founding: the die", "1" * 43 + "\n", "Only the digits 1 to 6 are rolls")
    visit.on("Founding: the die", f"{rolls(7)}\n", "All rolls were forgotten")
    visit.on("Founding: a new passphrase", "short\n")
    visit.on("Founding: a new passphrase", f"{PASSPHRASE}\n", "too short")
    visit.on("Founding: the passphrase again", f"{PASSPHRASE}x\n")
    visit.on("Founding: a new passphrase", f"{PASSPHRASE}\n", "The two were different")
    visit.on("Founding: the passphrase again", f"{PASSPHRASE}\n")
    visit.on("Safe to remove", ENTER, "SAFE TO REMOVE: .*the charter to be signed, read back and compared")


def signed(home: Home, stick: Stick) -> None:
    """The stick is at home: both governors sign, and it is packed again."""
    name = home.brought_back("charter-at-home", stick.read())
    charter = home.sign_charter(home.folder / name / "tabellion/founding/charter.payload")
    stick.check()
    stick.add({"tabellion/founding/charter.cose": charter.read_bytes()})


def second_visit(visit: Visit) -> tuple[str, str]:
    """From the page that waits for signatures, with the stick inserted, to Home: fingerprint and head."""
    visit.press(ENTER)
    title, _ = visit.next_page()
    if title == "The passphrase":
        visit.press(f"{PASSPHRASE}\n")
        title, _ = visit.next_page()
    must(title == "Founded", f"the page {title!r} came; 'Founded' expected:\n{visit.text}")
    visit.press(ENTER)
    text = visit.on("The fingerprint", "c", "In digits: ", "In words: ")
    fingerprint = "".join(re.search(r"In digits: ((?:[0-9a-f]+ ?)+)", text).group(1).split())  # type: ignore[union-attr]
    visit.on("The fingerprint as a code", ENTER)
    visit.on("The fingerprint", ENTER)
    head = paper_head(visit)
    visit.on("Safe to remove", ENTER, "SAFE TO REMOVE", "common@1")
    return fingerprint, head


def founding(stage: Stage) -> str:
    """Both visits, each a start of its own; what comes home on the stick is pinned, verified and recognised at the third start."""
    home, data = stage.home(), stage.empty()
    stick = stage.stick("founders", "fat32", home.founders_stick())

    def start(name: str) -> Machine:
        return stage.machine([Disk(data.file, "data", bus="nvme")], name=name)

    with start("first") as machine:
        visit = Visit(machine)
        visit.page("An empty data disk", "no witness lives on it yet")
        first_visit(visit, Disk(stick.file, "founders"))
        visit.page("The charter waits for signatures", r"2 of alice and james|2 of alice, james")
        machine.pull("founders")
        visit.on("The charter waits for signatures", "p", "no stick is inserted")
        visit.switch_off()
    signed(home, stick)
    with start("second") as machine:
        visit = Visit(machine)
        visit.page("The charter waits for signatures")
        machine.plug(Disk(stick.file, "founders"))
        visit.page("The charter waits for signatures", r"\[ ok \] the first stick, ")
        fingerprint, head = second_visit(visit)
        visit.page("Home", "common@1")
        machine.pull("founders")
        visit.on("Home", "f", "no stick is inserted")
        visit.on("The fingerprint", ESCAPE)
        visit.on("Home", "p")
        visit.switch_off()
    stick.check()
    home.pin(fingerprint, home.brought_back("founded", stick.read()))
    must(home.run("verify founded --pin consumer/common.pin"), "verify said nothing")
    with start("third") as machine:
        stage.begins(machine, head)
    data.check()
    return f"die, passphrase, charter signed at home by 2; common@1 pinned by its fingerprint {fingerprint[:8]}… and recognised by its head"


TESTS = [founding]
