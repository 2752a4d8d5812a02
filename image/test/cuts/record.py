"""Records a machine at work: every write to each of its disks, how far each log was at any moment, and what its operator was told when.

Owns the run and its bookkeeping. What is brought, pressed and told is of `sessions` and `founding`; what `keep` writes, `story` reads.
"""

import json
import os
import shutil
import threading
import time
from pathlib import Path

import cuts
import writes
from machine import Direct, Disk, Machine

PAGE = r"^== (?P<title>[^\n]+) ==\n(?P<body>(?:(?!== )[^\n]*\n)*?)-- ready --\n|^== Working ==\n(?P<work>(?:(?!== )[^\n]*\n)*?) *Next:"
SECONDS = 240
LOG_BYTES = 1 << 30
DESK = "data"


class Unexpected(Exception):
    """A page that no operator expects."""


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
    """Reads each page, and notes what was told when. What is pressed on it is its heirs'."""

    def __init__(self, serial, counts):
        self.serial, self.counts, self.told = serial, counts, []

    def page(self):
        """The next page that waits for a key, or that says what is done."""
        found = self.serial.expect(PAGE, SECONDS)
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
        raise Unexpected(f"a page that nobody expects: {title}\n{body}")

    def tell(self, number, sealed, safe=None, head=None):
        """The operator was told: everything logged so far suffices for it. A number is committed, or signed; a stick is safe to remove; a head."""
        self.told.append({"counts": self.counts(), "number": number, "sealed": sealed, "safe": safe, "head": head})


class Recording:
    """A machine, from `with` to the end of its block: the desk's disk is in it from the beginning, sticks when they are plugged.

    In the folder, `<name>.img` is each disk as it was before, which whoever calls makes, and `<name>.log` what was written to it.
    """

    def __init__(self, image, folder, sticks):
        self.image, self.folder, self.sticks = Path(image), Path(folder), list(sticks)
        self.samples, self.machine, self.starts = None, None, 0
        self.sampler = Sampler({name: str(self.folder / f"{name}.log") for name in [*self.sticks, DESK]})

    def __enter__(self):
        try:
            self.start(self.disk(DESK))
        except BaseException:
            self.sampler.end()
            raise
        return self

    def __exit__(self, *_):
        self.machine.end()
        self.samples = self.sampler.end()

    def start(self, disk):
        """Switches the machine on."""
        direct = Direct(self.image / "vmlinux", self.image / "initrd.zst", (self.image / "cmdline").read_text(encoding="utf-8"))
        self.starts += 1
        self.machine = Machine(self.folder, direct=direct, disks=[disk], name=f"machine-{self.starts}")

    def start_again(self):
        """Switches it on once more, when it has switched itself off: the record of the desk's disk goes on."""
        self.machine.wait_for_end(SECONDS)
        self.machine.end()
        self.start(self.used(DESK, goes_on=True))

    def used(self, name, goes_on=False):
        """The copy of a disk that is used."""
        return Disk(self.folder / f"{name}.used", name, record=self.folder / f"{name}.log", goes_on=goes_on)

    def disk(self, name):
        """A copy of a disk, to be used and recorded."""
        disk = self.used(name)
        shutil.copy(self.folder / f"{name}.img", disk.file)
        cuts.punch(disk.file)
        cuts.punch(self.folder / f"{name}.img")
        with open(disk.record, "wb") as log:
            log.truncate(LOG_BYTES)
        return disk

    def plug(self, name):
        """A stick into its socket."""
        self.machine.plug(self.disk(name))

    def keep(self, told, **facts):
        """Writes down what was told and sampled, and what else there is to know of this recording."""
        keep(self.folder, {"desk": DESK, "sticks": self.sticks, "samples": self.samples, "told": told, **facts})


def keep(folder, facts):
    """Writes the facts of a recording."""
    with open(os.path.join(folder, "facts.json"), "w", encoding="utf-8") as file:
        json.dump(facts, file, indent=1)


def begin(folder):
    """An empty folder for a recording."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
