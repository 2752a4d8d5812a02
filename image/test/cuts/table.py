"""Records, searches, and prints the table of `docs/reliability.md`: every row must be without violations, but for the controls, which must have some."""

import concurrent.futures
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import founding
import self_test
import sessions
from cuts import Plan
from desk import Program
from home import program_of
from search import MEMORY

SHOWN = 12
RECORDED = (sessions, founding)


class Size:
    """How much is tried. At each boundary all writes and none since the flush; and of subsets, and of tears, so many."""

    def __init__(self, is_full, seed):
        self.seed = seed
        self.kinds = {"a": "fat32", "b": "exfat", "c": "ext4"} if is_full else {"a": "fat32", "b": "exfat"}
        self.data_tries, self.stick_tries, self.step = ((6, 6), (16, 12), 1) if is_full else ((1, 1), (6, 4), 4)

    def data(self):
        """For a data partition."""
        return Plan(*self.data_tries, seed=self.seed)

    def stick(self):
        """For a stick."""
        return Plan(*self.stick_tries, seed=self.seed)

    def plain(self):
        """Without chance."""
        return Plan(0, 0, seed=self.seed)

    def lying(self, tears):
        """A disk that says it flushed and did not."""
        return Plan(2, tears, flushes=lambda index: False, seed=self.seed)

    def some(self, log):
        """Boundaries for a control."""
        return range(0, len(log.entries) + 1, self.step)

    @staticmethod
    def is_recorded(folder):
        """Whether a recording is to be used again, and is there."""
        return os.environ.get("CUTS_AGAIN") and os.path.exists(os.path.join(folder, "facts.json"))


class Table:
    """The rows, and whether each is as it must be."""

    def __init__(self):
        self.failed, self.numbers = [], 0
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

    def texts(self, texts, expected):
        """The signed texts of all disks of a recording: one of each of these numbers."""
        self.failed += texts.violations
        if set(texts.known) != expected:
            self.failed.append(f"signed texts of {sorted(texts.known)} were seen, of {sorted(expected)} expected")
        self.numbers += len(texts.known)


def main(image, out):
    """Records and prints."""
    with tempfile.TemporaryDirectory() as place:
        return tried(Program(str(program_of(Path(image) / "initrd.zst", Path(place)))), image, out)


def tried(program, image, out):
    """All of it, with the program that is in the image."""
    self_test.main()
    began = time.monotonic()
    size = Size(bool(os.environ.get("CUTS_FULL")), int(os.environ.get("CUTS_SEED", "1")))
    table = Table()
    folders = {kind: os.path.join(out, kind.__name__) for kind in RECORDED}
    # An emulated machine has one processor: two of them are recorded at once.
    with concurrent.futures.ProcessPoolExecutor(len(RECORDED)) as at_once:
        made = [at_once.submit(kind.made, program, image, folder, size) for kind, folder in folders.items() if not size.is_recorded(folder)]
        for recording in made:
            recording.result()
    print(f"recorded in {time.monotonic() - began:.0f} s; seed {size.seed}", file=sys.stderr, flush=True)
    for kind, folder in folders.items():
        kind.rows(table, program, folder, size)
    print(f"{table.numbers} signed numbers, one text of each; {time.monotonic() - began:.0f} s", file=sys.stderr)
    for failure in table.failed:
        print(f"cuts: {failure}", file=sys.stderr)
    return 1 if table.failed else 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: image/test/cuts/run IMAGE_FOLDER [OUT]")
    place = os.path.abspath(sys.argv[2]) if len(sys.argv) == 3 else tempfile.mkdtemp(prefix="cuts-", dir=MEMORY)
    try:
        code = main(sys.argv[1], place)
    finally:
        if len(sys.argv) == 2:
            shutil.rmtree(place, ignore_errors=True)
    sys.exit(code)
