"""The founding of a witness at the console, in two starts: the founders' stick, a die, a passphrase, the charter that is signed at home, common@1.

Owns what is brought and pressed, what must hold of a disk and of a stick on which a founding was cut off, and how its operator goes on: with the
same program, over the disk and the stick as the cut left them, until there is a common@1 that anybody can verify.
"""

import json
import os
import random
import re
import shutil
from pathlib import Path

import record
import stick as sticks_of
import story
from console import REHEARSAL, Console, first_page, furnish
from cuts import Plan
from desk import Facts, Judge, Texts, copy
from home import PASSPHRASE, Home, Wrong
from search import Task, search, stick_judge
from serial import Silent
from sticks import Stick, copied

KINDS = {"brought": "fat32", "signed": "exfat"}
SAID = {"fat32": "FAT32", "exfat": "exFAT"}
STICK_MIB = 46
ROLLS = "".join(random.Random(7).choices("123456", k=50))
SIGNED = "the new pages are signed"
ENTER = "\r"
# What is made in the first visit, and never again.
MADE = ("key", "charter.payload")
PAYLOAD, CHARTER = "tabellion/founding/charter.payload", "tabellion/founding/charter.cose"
EMPTY, BROKE_OFF, WAITS, LAST_HEAD = "An empty data disk", "A founding broke off", "The charter waits for signatures", "The last head"
FOUNDED_TODAY = "founded today"
EVERY = 60
# So many boundaries are looked at behind the one that a control is about.
NEAR = 12


class Founder(record.Operator):
    """Founds a witness. Its hands bring a stick, take it home to be signed, and bring it back."""

    def __init__(self, serial, counts, hands):
        super().__init__(serial, counts)
        self.hands, self.paper, self.head, self.fingerprint, self.asked = hands, None, None, None, False

    def page(self):
        """A page of a rehearsal is the same page."""
        title, body = super().page()
        return title.removesuffix(REHEARSAL), body

    def answer(self, title, body):
        """Presses what has to be pressed."""
        keys = {EMPTY: "f", BROKE_OFF: "f", "Founding: the first policy": ENTER, "Founding: the die": ROLLS + ENTER,
                "Founding: a new passphrase": PASSPHRASE + ENTER, "Founding: the passphrase again": PASSPHRASE + ENTER,
                "Founding: its passphrase": PASSPHRASE + ENTER, "The passphrase": PASSPHRASE + ENTER, LAST_HEAD: (self.paper or FOUNDED_TODAY) + ENTER,
                "What the sticks bring": ENTER, "Nothing new": ENTER}
        self.asked |= title == LAST_HEAD
        if title in keys:
            self.serial.type(keys[title])
        elif title == "Working":
            # A step is told as done when the next one begins.
            if SIGNED in body:
                self.tell(1, False)
        elif title == "Founding: the founders' stick":
            self.press(body, "" if self.hands.bring() else None)
        elif title == WAITS:
            self.press(body, self.hands.back())
        elif title == "Safe to remove":
            self.safe(body)
        else:
            self.end(title, body)

    def press(self, body, keys):
        """Answers a page when it shows a stick that can be used."""
        if "[ ok ] the " in body and keys is not None:
            self.serial.type(keys or ENTER)

    def safe(self, body):
        """A stick has what it is to have."""
        is_charter = "the charter to be signed" in body
        self.tell(0 if is_charter else 1, not is_charter, self.hands.take(is_charter))
        self.serial.type(ENTER)

    def end(self, title, body):
        """What remains when it is founded."""
        if title == "Founded":
            self.tell(1, True)
        elif title == "The fingerprint":
            self.fingerprint = "".join(re.search(r"In digits:((?:\s+[0-9a-f]+)+)", body)[1].split())
        elif title == "Write down the head":
            number, words = re.search(r"Number:\s+(\d+)\s+Words:\s+((?:[a-z]+\s+){5}[a-z]+)", body).groups()
            self.head = f"{number}:{'-'.join(words.split())}"
            self.tell(1, True, head=self.head)
        else:
            super().answer(title, body)
        self.serial.type(ENTER)

    def founded(self):
        """From the first page to the end."""
        self.until("Home")
        while not self.hands.has_first_page():
            self.serial.type(ENTER)
            self.until("Home")
        self.switch_off()

    def switch_off(self):
        """From a page that offers it."""
        self.serial.type("p")
        self.until("Switch off")
        self.serial.type("y")


class Hands:
    """Those of the operator who is recorded: the charter goes home on one stick, and comes back on another."""

    def __init__(self, recording, home):
        self.recording, self.home, self.is_in, self.is_back = recording, home, False, False

    def stick(self, name):
        """The file of a stick."""
        return self.recording.folder / f"{name}.img"

    def bring(self):
        """The founders' stick; whether it is in already."""
        was_in, self.is_in = self.is_in, True
        if not was_in:
            self.recording.plug("brought")
        return was_in

    def take(self, is_charter):
        """Pulls a stick."""
        name = "brought" if is_charter else "signed"
        self.recording.machine.pull(name)
        return name

    @staticmethod
    def has_first_page():
        """It was told that it is safe to remove."""
        return True

    def back(self):
        """Both governors sign, and the stick is in; the keys to press when it is."""
        if self.is_back:
            return ENTER
        self.is_back = True
        content = Stick(self.recording.folder / "brought.used", KINDS["brought"], True).read()
        self.home.brought_back("charter", content)
        charter = self.home.sign_charter(self.home.folder / "charter" / PAYLOAD)
        Stick.make(self.stick("signed"), KINDS["signed"], {**content, CHARTER: charter.read_bytes()}, size=STICK_MIB << 20)
        self.recording.plug("signed")
        return None


def made(program, image, folder, _size):
    """Records it."""
    record.begin(folder)
    home = Home(Path(program.path), Path(folder, "home"))
    copied(Path(image, "data.img"), Path(folder, "data.img"))
    Stick.make(Path(folder, "brought.img"), KINDS["brought"], home.founders_stick(), size=STICK_MIB << 20)
    with record.Recording(image, folder, KINDS) as recording:
        operator = Founder(recording.machine.serial, recording.sampler.now, Hands(recording, home))
        operator.until(WAITS)
        operator.switch_off()
        recording.start_again()
        operator.serial = recording.machine.serial
        operator.founded()
        recording.machine.wait_for_end(record.SECONDS)
    recording.keep(operator.told, head=operator.head, fingerprint=operator.fingerprint)


class Founding(story.Story):
    """A recording of a founding, and what it must come to on whatever a cut leaves."""

    def __init__(self, program, folder):
        super().__init__(folder)
        self.head, self.fingerprint = self.facts["head"], self.facts["fingerprint"]
        self.home = Home.there(Path(program.path), Path(folder, "home"))
        self.handed_out_at = next(told["counts"][self.desk] for told in self.told if told["safe"] == "brought")
        self.head_at = next(told["counts"][self.desk] for told in self.told if told["head"])
        work = os.path.join(folder, "end")
        desk = self.desk_then(len(self.logs[self.desk].entries), work)
        self.made = {name: Path(desk, name).read_bytes() for name in MADE}
        self.time = program.head(desk)[1]
        self.charter = Path(folder, "charter.cose")
        self.charter.write_bytes(self.first("signed", work).files[CHARTER])

    def judge(self, program, every):
        """A maker of judges of the data partition."""
        return lambda work: FoundingJudge(program, self, work, every)

    @staticmethod
    def before_number(_number):
        """What is sealed on a desk whose founding is not: nothing."""
        return 0

    def go_on(self, program, desk, cut, work, seen):
        """The operator starts again with the stick of that moment: whatever was told stays, and in the end anybody can verify common@1."""
        case = os.path.join(work, "again")
        shutil.rmtree(case, ignore_errors=True)
        name = self.sticks[self.visit(cut.boundary)]
        left, tree = self.left(name, cut, work)
        story.put(tree, os.path.join(furnish(case, desk), name))
        hands = Again(self.home, case, name)
        with Console(program, case) as console:
            operator = Founder(console.serial, dict, hands)
            operator.paper = self.head if cut.boundary >= self.head_at else None
            try:
                operator.founded()
                console.wait_for_end()
            except (Silent, record.Unexpected, Wrong) as broken:
                return [f"starting again, with {name}, {left.name()}: {broken}"]
        return [f"after starting again, with {name}, {left.name()}: {wrong}" for wrong in self.wrong(program, operator, desk, case, name)]

    def wrong(self, program, operator, before, case, name):
        """What is wrong with a founding that was gone on with."""
        desk, wrong = os.path.join(case, "data/desk"), []
        head = program.head(desk)[0]
        if operator.head not in (None, head):
            wrong.append(f"the console told the head {operator.head}, and the desk has {head}")
        if operator.asked and head != self.head:
            wrong.append(f"the head was {self.head}, and is {head}")
        for file in MADE:
            was, now = content(before, file), content(desk, file)
            if was is not None and was != now:
                wrong.append(f"{file} is another than before")
        fingerprint = program.run("witness", "status", "--ledger", desk, "--fingerprint")[1].decode().strip()
        if operator.fingerprint not in (None, fingerprint):
            wrong.append(f"the console told the fingerprint {operator.fingerprint}, and the desk has {fingerprint}")
        stick, pin = os.path.join(case, "sticks", name), os.path.join(case, "pin")
        for words in (("pin", stick, "--charter", fingerprint, "--out", pin), ("verify", stick, "--pin", pin)):
            code, _, said = program.run(*words)
            if code != 0:
                wrong.append(f"{words[0]} of the stick ends with {code}: {said.strip()}")
        return wrong


class Again:
    """The hands of the operator who starts again: the stick is in, and the founders sign on it."""

    def __init__(self, home, case, name):
        self.home, self.desk, self.stick = home, Path(case, "data/desk"), Path(case, "sticks", name)

    def bring(self):
        """It is in already."""
        return True

    def take(self, _is_charter):
        """It stays in."""

    def has_first_page(self):
        """Whether the stick can go home."""
        return (self.stick / sticks_of.CHECKPOINT).is_file()

    def back(self):
        """Signed, if the charter came to the stick before the cut; else it is written now."""
        payload = self.stick / PAYLOAD
        if not payload.is_file() or payload.read_bytes() != (self.desk / "charter.payload").read_bytes():
            return "w"
        if not (self.stick / CHARTER).is_file():
            self.home.sign_charter(payload)
        return ENTER


class FoundingJudge(Judge):
    """Judges data partitions of a founding: the console can go on with each, and what was told is there."""

    def judge(self, desk):
        """What a desk is: by the first page that the console shows of it, and by finishing it with the program."""
        case = os.path.join(self.work, "case")
        shutil.rmtree(case, ignore_errors=True)
        furnish(case, desk)
        title, body = first_page(self.program, case)
        facts = super().judge(desk) if title == LAST_HEAD else Facts()
        facts.title, facts.names = title, sorted(os.listdir(desk)) if os.path.isdir(desk) else []
        facts.made = {name: content(desk, name) for name in MADE}
        facts.wrong += self.half(facts, body)
        if not facts.wrong and title in (WAITS, LAST_HEAD):
            facts.wrong += self.finish(desk)
        return facts

    def half(self, facts, body):
        """What must not be of a founding, however far it came."""
        expected = EMPTY if facts.made["key"] is None else BROKE_OFF if facts.made["charter.payload"] is None else WAITS
        allowed, wrong = (WAITS, LAST_HEAD) if expected == WAITS else (expected,), []
        if facts.title not in allowed:
            wrong.append(f"the console shows {facts.title!r}, {expected!r} expected: {' '.join(body.split())[:600]}")
        for name, data in facts.made.items():
            if data not in (None, self.story.made[name]):
                wrong.append(f"{name} is half or another: {len(data)} bytes found, {len(self.story.made[name])} expected")
        return wrong

    def finish(self, desk):
        """The signed charter that came back is accepted, and gives the head that was told."""
        look = os.path.join(self.work, "look")
        copy(desk, look)
        code, said = self.program.answer("witness", "init", look, "--charter", str(self.story.charter), "--time", self.story.time,
                                         "--passphrase-file", str(self.story.home.folder / "operator.passphrase"))
        if code != 0:
            return [f"the signed charter is not accepted, init ends with {code}: {json.dumps(said)[:600]}"]
        head = self.program.head(look)[0]
        return [] if head == self.story.head else [f"the signed charter gives the head {head}, and {self.story.head} was told"]

    def enter(self, cut, facts, seen):
        """Compares a desk with what was told."""
        super().enter(cut, facts, seen)
        seen.reached("drafted", cut.boundary, int(facts.made["charter.payload"] is not None))
        seen.counts[facts.title] += 1
        if cut.boundary >= self.story.handed_out_at:
            seen.violations += [f"{cut.name()}: {name} is lost, and the charter went home at {self.story.handed_out_at}"
                                for name, data in facts.made.items() if data is None]
        if cut.boundary >= self.story.head_at and facts.head != self.story.head:
            seen.violations.append(f"{cut.name()}: the head is {facts.head}; {self.story.head} was told at {self.story.head_at}")

    def kind(self, facts, desk):
        """Desks of one kind have the same files, and the same last event."""
        return facts.title, tuple(facts.names), facts.last


class StickJudge(sticks_of.Judge):
    """Judges the founders' sticks: a charter goes home only when it is kept here."""

    def early(self, tree, cut, seen):
        """Nothing is on the stick that a desk does not have which the same cut may leave."""
        wrong = super().early(tree, cut, seen)
        if PAYLOAD in tree.files and PAYLOAD not in self.generations[0].files and not self.least_at("drafted", cut.boundary):
            wrong.append(f"{PAYLOAD} is there, and the desk that the same cut leaves has no charter")
        return wrong


def content(folder, name):
    """A file's bytes, if it is there."""
    path = Path(folder, name)
    return path.read_bytes() if path.is_file() else None


def rows(table, program, folder, size):
    """Every disk that a cut may leave of a recording, and what must be found."""
    told = Founding(program, folder)
    desk = search(Task(told, told.desk, size.data(), told.judge(program, EVERY)))
    table.row("data partition, a founding", told.logs[told.desk], desk)
    texts = Texts()
    texts.merge(desk)
    for name, what in (("brought", "the charter goes home"), ("signed", "it comes back, and gets common@1")):
        stick = search(Task(told, name, size.stick(), stick_judge(told, name, desk, StickJudge)))
        texts.merge(stick)
        table.row(f"founders' stick, {SAID[KINDS[name]]}: {what}", told.logs[name], stick)
    table.texts(texts, {1})
    controls(table, program, told, size)


def controls(table, program, told, size):
    """What must be found."""
    log = told.logs[told.desk]
    # Flushes of the key and of the charter that do nothing: when it is at home, there may be no key that it belongs to.
    late = Plan(2, 0, flushes=lambda index: index >= told.handed_out_at, seed=size.seed)
    seen = search(Task(told, told.desk, late, told.judge(program, 0), range(told.handed_out_at, told.handed_out_at + NEAR)))
    table.row("data partition, a founding whose key and charter were not flushed", log, seen, "key is lost, and the charter went home")
    # Another head on the operator's paper than the one that the desk has.
    other = Founding(program, told.folder)
    other.head = "1:" + "-".join(reversed(told.head.split(":")[1].split("-")))
    seen = search(Task(other, other.desk, size.plain(), other.judge(program, 0), range(told.head_at, len(log.entries) + 1)))
    table.row("data partition, a founding whose head was told in another order of words", log, seen, "was told at")
