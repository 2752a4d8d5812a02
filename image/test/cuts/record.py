"""Records the appliance at work: a desk that is founded already, an operator who brings one stick after another, and every write to each disk.

Owns the run and what the operator was told in it. What `story` reads is what this writes.
"""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

import cuts
import files
import story
import world as worlds
import writes
from machine import Direct, Disk, Machine
from sticks import Stick

IMAGE = Path(__file__).resolve().parents[2]

PAGE = r"^== (?P<title>[^\n]+) ==\n(?P<body>(?:(?!== )[^\n]*\n)*?)-- ready --\n|^== Working ==\n(?P<work>(?:(?!== )[^\n]*\n)*?) *Next:"
SECONDS = 240
DATA_MIB = 64
# An ext4 of blocks of 4 KiB has a second superblock from 128 MiB on.
STICK_MIB = {"fat32": 46, "exfat": 46, "ext4": 160}
LOG_BYTES = 1 << 30
SIGNED = "the new pages are signed"


class Sampler:
    """How far each log is, again and again: sticks first and the data partition last, so that what is on a stick was on the disk before."""

    def __init__(self, logs):
        self.logs, self.samples, self.done = logs, [], False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def now(self):
        """The counts of all logs."""
        return {name: writes.count(path) if os.path.exists(path) else 0 for name, path in self.logs.items()}

    def run(self):
        """Until `end`."""
        while not self.done:
            counts = self.now()
            if not self.samples or self.samples[-1] != counts:
                self.samples.append(counts)
            time.sleep(0.0005)

    def end(self):
        """All samples."""
        self.done = True
        self.thread.join()
        self.samples.append(self.now())
        return self.samples


class Operator:
    """Answers each page as an operator would, and notes what was told when."""

    def __init__(self, machine, sampler, world):
        self.machine, self.sampler, self.world, self.told = machine, sampler, world, []
        self.number, self.stick = None, None

    def page(self):
        """The next page that waits for a key, or that says what is done."""
        found = self.machine.serial.expect(PAGE, SECONDS)
        return found["title"] or "Working", found["body"] or found["work"]

    def until(self, wanted):
        """Answers pages up to one of this title, and gives back its text."""
        while True:
            title, body = self.page()
            if title == wanted:
                return body
            self.answer(title, body)

    def answer(self, title, body):
        """Presses what has to be pressed."""
        if title == "Working":
            # A step is told as done when the next one begins.
            if SIGNED in body and self.number is not None:
                self.tell(False)
            return
        if title == "Confirm":
            self.number = int(re.search(r"type\s+the\s+number\s+(\d+)", body)[1])
            self.machine.serial.type(f"{self.number}\r")
        elif title == "The passphrase":
            self.machine.serial.type(worlds.PASSPHRASE + "\r")
        elif title in ("What the sticks bring", "Write down the head") or title.startswith("Paper "):
            self.machine.serial.type("\r")
        elif title == "Safe to remove":
            self.tell(True)
            self.machine.pull(self.stick)
            self.machine.serial.type("\r")
        elif title != "Home":
            raise RuntimeError(f"a page that nobody expects: {title}\n{body}")

    def tell(self, sealed):
        """The operator was told: everything logged so far suffices for it."""
        self.told.append({"counts": self.sampler.now(), "number": self.number, "sealed": sealed, "stick": self.stick})

    def session(self, name, disk):
        """One stick, from its socket to the operator's hand."""
        self.stick, self.number = name, None
        self.machine.plug(disk)
        while "look at the stick" not in self.until("Home"):
            pass
        self.machine.serial.type("\r")
        body = self.until("Write down the head")
        self.machine.serial.type("\r")
        return body


def data_disk(world, folder, out):
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
    return path


def run(*words):
    """Runs a program; it must succeed."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {done.stdout}")
    return done.stdout


def record(program, image, folder, kinds, seed):
    """Records one start with a session for each stick; `kinds` maps a stick to its file system. The folder is what `story.Story` reads."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    world = worlds.make(program, os.path.join(folder, "world"), seed)
    data_disk(world, folder, image)
    for name, kind in kinds.items():
        Stick.make(Path(folder, f"{name}.img"), kind, worlds.content(world, name), size=STICK_MIB[kind] << 20)
    used = {}
    for name in ["data", *kinds]:
        used[name] = Disk(Path(folder, f"{name}.used"), name, record=Path(folder, f"{name}.log"))
        shutil.copy(os.path.join(folder, f"{name}.img"), used[name].file)
        cuts.punch(used[name].file)
        cuts.punch(os.path.join(folder, f"{name}.img"))
        with open(used[name].record, "wb") as log:
            log.truncate(LOG_BYTES)
    command_line = (Path(image) / "cmdline").read_text(encoding="utf-8")
    direct = Direct(Path(image) / "vmlinux", Path(image) / "initrd.zst", command_line)
    sampler = Sampler({**{name: str(used[name].record) for name in kinds}, "data": str(used["data"].record)})
    try:
        with Machine(Path(folder), direct=direct, disks=[used["data"]], name="machine") as machine:
            operator = Operator(machine, sampler, world)
            operator.until("The last head")
            machine.serial.type(world.head() + "\r")
            for name in kinds:
                operator.session(name, used[name])
            operator.until("Home")
            machine.serial.type("p")
            operator.until("Switch off")
            machine.serial.type("y")
            machine.wait_for_end(SECONDS)
    finally:
        samples = sampler.end()
    facts = {"desk": "data", "sticks": list(kinds), "samples": samples, "told": operator.told, "heads": [world.head()], "times": [],
             "passphrase": worlds.PASSPHRASE}
    complete(program, folder, facts)


def complete(program, folder, facts):
    """Adds what only the recording tells: the head after each session, and the time it claimed."""
    with open(os.path.join(folder, "facts.json"), "w", encoding="utf-8") as file:
        json.dump(facts, file)
    for stick in facts["sticks"]:
        told = [told["sealed"] for told in facts["told"] if told["stick"] == stick]
        if len(told) < 2 or told != [False] * (len(told) - 1) + [True]:
            raise RuntimeError(f"with {stick} the operator was told {told}; that a number is committed, and then, once, that it is safe, expected")
    recorded = story.Story(folder)
    for told in (told for told in facts["told"] if told["sealed"]):
        desk = recorded.desk_then(told["counts"]["data"], os.path.join(folder, "then"))
        _, said = program.answer("witness", "status", "--ledger", desk)
        head, claim = said["answer"]["head"], said["answer"]["metrics"].get("last_time_claim")
        facts["heads"].append(f"{head['number']}:{head['words']}")
        facts["times"].append(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claim)))
    with open(os.path.join(folder, "facts.json"), "w", encoding="utf-8") as file:
        json.dump(facts, file, indent=1)
