"""Records, searches, and prints the table of `docs/reliability.md`: every row must be without violations, but for the controls, which must have some."""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import self_test
from cuts import Plan
from desk import Acknowledged, Program, Texts
from home import program_of
from record import record
from search import MEMORY, Task, desk_judge, search, stick_judge
from story import Story

FULL = bool(os.environ.get("CUTS_FULL"))
SEED = int(os.environ.get("CUTS_SEED", "1"))
KINDS = {"a": "fat32", "b": "exfat", "c": "ext4"} if FULL else {"a": "fat32", "b": "exfat"}
SAID = {"fat32": "FAT32", "exfat": "exFAT", "ext4": "ext4"}
# At each boundary all writes and none since the flush; and of subsets, and of tears, so many.
DATA = (6, 6) if FULL else (1, 1)
STICK = (16, 12) if FULL else (6, 4)
EVERY = 60
SHOWN = 12


class Table:
    """The rows, and whether each is as it must be."""

    def __init__(self):
        self.failed = []
        print("| recording | writes | flushes | disks looked at | wrong | violations | allowed, and counted |\n|---|---|---|---|---|---|---|", flush=True)

    def row(self, what, log, seen, control=None):
        """One row. A control must have violations, and among them one that has this in it."""
        writes, flushes = log.told()
        counted = ", ".join(f"{name}: {number:,}" for name, number in sorted(seen.counts.items()))
        what = f"**control**: {what}" if control else what
        print(f"| {what} | {writes:,} | {flushes:,} | {seen.tried:,} | {seen.bad:,} | {len(seen.violations):,} | {counted} |", flush=True)
        if control and not any(control in violation for violation in seen.violations):
            self.failed.append(f"{what}: nothing found with {control!r}: this harness is blind")
        if not control:
            self.failed += [f"{what}: {violation}" for violation in seen.violations[:SHOWN]]
            more = len(seen.violations) - SHOWN
            self.failed += [f"{what}: and {more} more"] if more > 0 else []


def main(image, out):
    """Records and prints."""
    with tempfile.TemporaryDirectory() as place:
        return tried(Program(str(program_of(Path(image) / "initrd.zst", Path(place)))), image, out)


def tried(program, image, out):
    """All of it, with the program that is in the image."""
    self_test.main()
    began = time.monotonic()
    recorded(program, image, out)
    story, table = Story(out), Table()
    print(f"recorded in {time.monotonic() - began:.0f} s; seed {SEED}", file=sys.stderr, flush=True)
    desk = search(Task(story, story.desk, Plan(*DATA, seed=SEED), desk_judge(story, program, EVERY)))
    table.row(f"data partition, {len(story.sticks)} sessions", story.logs[story.desk], desk)
    texts = Texts()
    merge(texts, desk)
    for name in story.sticks:
        stick = search(Task(story, name, Plan(*STICK, seed=SEED), stick_judge(story, name, desk.sealed)))
        merge(texts, stick)
        table.row(f"result stick, {SAID[KINDS[name]]}", story.logs[name], stick)
    table.failed += texts.violations
    if set(texts.known) != set(story.numbers()) | {1}:
        table.failed.append(f"signed texts of {sorted(texts.known)} were seen, of {story.numbers()} expected")
    controls(program, story, desk, table)
    print(f"{len(texts.known)} signed numbers, one text of each; {time.monotonic() - began:.0f} s", file=sys.stderr)
    for failure in table.failed:
        print(f"cuts: {failure}", file=sys.stderr)
    return 1 if table.failed else 0


def recorded(program, image, out):
    """Makes the recording; one that is there already is used again when that is asked for."""
    if not (os.environ.get("CUTS_AGAIN") and os.path.exists(os.path.join(out, "facts.json"))):
        record(program, image, out, KINDS, SEED)


def merge(texts, seen):
    """All texts of all disks together."""
    for number, text in seen.texts.known.items():
        texts.add(number, text, "all disks")


def controls(program, story, desk, table):
    """What must be found."""
    log = story.logs[story.desk]
    end = len(log.entries) + 1
    some = range(0, end, 1 if FULL else 4)
    # A disk that says it flushed and did not: whatever was acknowledged may be gone, and the file system torn.
    never = lambda index: False
    lying = search(Task(story, story.desk, Plan(2, 0, flushes=never, seed=SEED), desk_judge(story, program, 0), some))
    table.row("data partition, a disk whose flushes do nothing", log, lying, "is lost")
    for name in story.sticks[:2]:
        lying = search(Task(story, name, Plan(2, 1, flushes=never, seed=SEED), stick_judge(story, name, desk.sealed)))
        table.row(f"{SAID[KINDS[name]]} stick, whose flushes do nothing", story.logs[name], lying, "is missing, and the checkpoint with it is there")
    # An acknowledgement that came one entry before what it tells of was written.
    early = Story(story.folder)
    first = min(boundary for boundary, number in desk.committed.items() if number >= early.numbers()[1])
    early.acknowledged.append(Acknowledged(first - 1, early.numbers()[1], False))
    seen = search(Task(early, early.desk, Plan(0, 0, seed=SEED), desk_judge(early, program, 0), range(max(0, first - 6), first + 6)))
    table.row("data partition, a number acknowledged one write too early", log, seen, "is lost")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: image/test/cuts/run IMAGE_FOLDER [OUT]")
    place = sys.argv[2] if len(sys.argv) == 3 else tempfile.mkdtemp(prefix="cuts-", dir=MEMORY)
    try:
        code = main(sys.argv[1], place)
    finally:
        if len(sys.argv) == 2:
            shutil.rmtree(place, ignore_errors=True)
    sys.exit(code)
