"""The sessions of a founded desk: an operator who brings one stick after another in one start, and how that operator goes on after a cut.

Owns what is brought and pressed, and what a broken session must come to: the same papers, numbers and signatures.
"""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import cuts
import files
import record
import story
import world as worlds
from desk import Judge, Texts
from search import Task, search, stick_judge
from sticks import Stick

IMAGE = Path(__file__).resolve().parents[2]
DATA_MIB = 64
# An ext4 of blocks of 4 KiB has a second superblock from 128 MiB on.
STICK_MIB = {"fat32": 46, "exfat": 46, "ext4": 160}
SAID = {"fat32": "FAT32", "exfat": "exFAT", "ext4": "ext4"}
# On one disk of so many the operator goes on, whatever its kind.
EVERY = 60
SIGNED = "the new pages are signed"
# The report tells of the run that wrote it, and a run that finds its papers decided gives their receipts once more.
SKIPPED = ("tabellion/results/report.",)
MORE = ("tabellion/heads/", "tabellion/results/again.receipts")


class Operator(record.Operator):
    """Runs sessions."""

    def __init__(self, recording):
        super().__init__(recording.machine.serial, recording.sampler.now)
        self.recording, self.number, self.stick = recording, None, None

    def answer(self, title, body):
        """Presses what has to be pressed."""
        if title == "Working":
            # A step is told as done when the next one begins.
            if SIGNED in body and self.number is not None:
                self.tell(self.number, False)
            return
        if title == "Confirm":
            self.number = int(re.search(r"type\s+the\s+number\s+(\d+)", body)[1])
            self.serial.type(f"{self.number}\r")
        elif title == "The passphrase":
            self.serial.type(worlds.PASSPHRASE + "\r")
        elif title in ("What the sticks bring", "Write down the head") or title.startswith("Paper "):
            self.serial.type("\r")
        elif title == "Safe to remove":
            self.tell(self.number, True, self.stick)
            self.recording.machine.pull(self.stick)
            self.serial.type("\r")
        elif title != "Home":
            super().answer(title, body)

    def session(self, name):
        """One stick, from its socket to the operator's hand."""
        self.stick, self.number = name, None
        self.recording.plug(name)
        while "look at the stick" not in self.until("Home"):
            pass
        self.serial.type("\r")
        self.until("Write down the head")
        self.serial.type("\r")


def data_disk(world, folder):
    """The image's own data disk, with the desk in it."""
    path, part = os.path.join(folder, "data.img"), os.path.join(folder, "part.img")
    run(str(IMAGE / "data-disk"), str(DATA_MIB), path)
    start, length = files.window_of(path)
    cuts.copy_sparse(path, part, start, length)
    commands = []
    desk = world.path("desk")
    for place, _, names in os.walk(desk):
        inside = os.path.join("desk", os.path.relpath(place, desk)).removesuffix("/.")
        commands.append(f"mkdir {inside}")
        for name in names:
            if not name.endswith("-shm"):
                commands.append(f"write {os.path.join(place, name)} {inside}/{name}")
    commands += [f"set_inode_field {line.split()[1]} mode 040700" for line in commands if line.startswith("mkdir")]
    said = files.command("debugfs", "-w", "-f", "-", part, text="\n".join(commands) + "\n")
    code, checked = files.command("e2fsck", "-fn", part)
    if code != 0:
        raise RuntimeError(f"the data disk is not clean: {checked} after {said[1]}")
    with open(part, "rb") as source, open(path, "r+b") as target:
        target.seek(start)
        shutil.copyfileobj(source, target, 1 << 20)
    os.remove(part)


def run(*words):
    """Runs a program; it must succeed."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stdout}")


def made(program, image, folder, size):
    """Records one start with a session for each stick."""
    record.begin(folder)
    world = worlds.make(program, os.path.join(folder, "world"), size.seed)
    data_disk(world, folder)
    for name, kind in size.kinds.items():
        Stick.make(Path(folder, f"{name}.img"), kind, worlds.content(world, name), size=STICK_MIB[kind] << 20)
    with record.Recording(image, folder, size.kinds) as recording:
        operator = Operator(recording)
        operator.until("The last head")
        operator.serial.type(world.head() + "\r")
        for name in size.kinds:
            operator.session(name)
        operator.until("Home")
        operator.serial.type("p")
        operator.until("Switch off")
        operator.serial.type("y")
        recording.machine.wait_for_end(record.SECONDS)
    recording.keep(operator.told, heads=[world.head()], times=[], passphrase=worlds.PASSPHRASE)
    complete(program, folder)


def complete(program, folder):
    """Adds what only the recording tells: the head after each session, and the time it claimed."""
    recorded = Sessions(folder)
    for stick in recorded.sticks:
        safe = recorded.told.index(next(told for told in recorded.told if told["safe"] == stick))
        told = [told["sealed"] for told in recorded.told if told["number"] == recorded.told[safe]["number"]]
        if len(told) < 2 or told != [False] * (len(told) - 1) + [True]:
            raise RuntimeError(f"with {stick} the operator was told {told}; that a number is committed, and then, once, that it is safe, expected")
    for told in (told for told in recorded.told if told["sealed"]):
        desk = recorded.desk_then(told["counts"]["data"], os.path.join(folder, "then"))
        head, claim = program.head(desk)
        recorded.heads.append(head)
        recorded.times.append(claim)
    record.keep(folder, recorded.facts)


class Sessions(story.Story):
    """A recording of sessions. `heads` are the heads before the first one and after each, as they stand on paper, `times` what each claimed."""

    def __init__(self, folder):
        super().__init__(folder)
        self.heads, self.times, self.passphrase = self.facts["heads"], self.facts["times"], self.facts["passphrase"]

    def numbers(self):
        """The head before the first session and after each, as numbers."""
        return [int(head.split(":")[0]) for head in self.heads]

    def before_number(self, number):
        """What is sealed on a desk whose last session, which gave this number, is not."""
        return max(before for before in self.numbers() if before < number)

    def judge(self, program, every):
        """A maker of judges of the data partition."""
        return lambda work: Judge(program, self, work, every)

    def go_on(self, program, desk, cut, work, seen):
        """The operator starts again with the stick of that moment: the same papers, numbers and signatures come out.

        Not with those that come later: a record names the ledger's last event before its session, and that event has what the operator typed to
        confirm the session before, which the program on the host asks for in another way.
        """
        case = os.path.join(work, "again")
        shutil.rmtree(case, ignore_errors=True)
        os.makedirs(case)
        shutil.copytree(desk, os.path.join(case, "desk"))
        with open(os.path.join(case, "passphrase"), "w", encoding="utf-8") as file:
            file.write(self.passphrase + "\n")
        return self.again(program, case, self.visit(cut.boundary), cut, work, seen)

    def again(self, program, case, visit, cut, work, seen):
        """One session over a stick as the same cut left it; the stick must then be as if nothing had been cut."""
        name = self.sticks[visit]
        stick = os.path.join(case, name)
        left, tree = self.left(name, cut, work)
        story.put(tree, stick)
        code, said = self.session(program, case, stick, self.heads[visit], self.times[visit])
        if code == 2 and "head-unexpected" in json.dumps(said):
            # Results were on the stick: the operator may have written the new head down already.
            code, said = self.session(program, case, stick, self.heads[visit + 1], self.times[visit])
        if code != 0:
            return [f"the next session, with {name}, {left.name()}, ends with {code}: {json.dumps(said)[:800]}"]
        tree, expected = files.of_folder(stick), self.final(name, work)
        seen.texts.add_tree(tree, f"{cut.name()}: after starting again")
        wrong = [f"after starting again {name}: {path} is not what the undisturbed session wrote"
                 for path, data in expected.files.items() if not path.startswith(SKIPPED) and tree.files.get(path) != data]
        return wrong + [f"after starting again {name}: {path} is left" for path in tree.files
                        if path not in expected.files and not path.startswith(MORE)]

    def session(self, program, case, stick, head, time):
        """A session on the host."""
        return program.answer("witness", "session", "--ledger", os.path.join(case, "desk"), "--media", stick, "--expect-head", head, "--yes", "--time",
                              time, "--passphrase-file", os.path.join(case, "passphrase"))


def rows(table, program, folder, size):
    """Every disk that a cut may leave of a recording, and what must be found."""
    told = Sessions(folder)
    desk = search(Task(told, told.desk, size.data(), told.judge(program, EVERY)))
    table.row(f"data partition, {len(told.sticks)} sessions", told.logs[told.desk], desk)
    texts = Texts()
    texts.merge(desk)
    for name in told.sticks:
        stick = search(Task(told, name, size.stick(), stick_judge(told, name, desk)))
        texts.merge(stick)
        table.row(f"result stick, {SAID[size.kinds[name]]}", told.logs[name], stick)
    table.texts(texts, set(told.numbers()) | {1})
    controls(table, program, told, desk, size)


def controls(table, program, told, desk, size):
    """What must be found."""
    log = told.logs[told.desk]
    # A disk that says it flushed and did not: whatever was acknowledged may be gone, and the file system torn.
    lying = search(Task(told, told.desk, size.lying(0), told.judge(program, 0), size.some(log)))
    table.row("data partition, a disk whose flushes do nothing", log, lying, "is lost")
    for name in told.sticks[:2]:
        lying = search(Task(told, name, size.lying(1), stick_judge(told, name, desk)))
        table.row(f"{SAID[size.kinds[name]]} stick, whose flushes do nothing", told.logs[name], lying, "is missing, and the checkpoint with it is there")
    # An acknowledgement that came one entry before what it tells of was written.
    early = Sessions(told.folder)
    first = min(boundary for boundary, number in desk.at_least("committed").items() if number >= early.numbers()[1])
    early.acknowledged.append(story.Acknowledged(first - 1, early.numbers()[1], False))
    seen = search(Task(early, early.desk, size.plain(), early.judge(program, 0), range(max(0, first - 6), first + 6)))
    table.row("data partition, a number acknowledged one write too early", log, seen, "is lost")
