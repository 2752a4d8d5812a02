"""What a power cut may leave of a disk.

Owns the choice: at a boundary between two entries of a log everything up to the last flush is safe; of the writes since then any may be there,
in any order, and of a write any sectors of 512 bytes. A write with the flag `FUA` is safe when it is done, and nothing else with it. Never
looks at what is on the disk.
"""

import os
import random

from writes import FUA

SECTOR = 512


class Cut:
    """One disk that may be left: all of the entries before `safe`, and of those before `boundary` the pieces chosen."""

    __slots__ = ("boundary", "kind", "safe", "pieces")

    def __init__(self, boundary, kind, safe, pieces):
        self.boundary, self.kind, self.safe, self.pieces = boundary, kind, safe, pieces

    def name(self):
        """As a violation names it."""
        return f"cut {self.kind} at {self.boundary}"

    def key(self):
        """Equal keys are equal disks."""
        return (self.safe, tuple(self.pieces))


def whole(index, entry):
    """All sectors of a write."""
    return (index, 0, entry.length // SECTOR)


def pending(entries, boundary, flushes=None):
    """The last flush before the boundary, and the writes since then that may be lost."""
    safe = boundary
    while safe > 0:
        entry = entries[safe - 1]
        if entry.is_barrier() and (flushes is None or flushes(safe - 1)):
            # A flush that comes with a write is done before it: the write itself is not safe by it.
            safe -= 1 if entry.length else 0
            break
        safe -= 1
    return safe, [index for index in range(safe, boundary) if entries[index].length]


class Plan:
    """Which disks are tried at a boundary."""

    def __init__(self, subsets, tears, flushes=None, seed=0):
        """So many random subsets, so many tears. `flushes` says which flushes count, for the controls."""
        self.subsets, self.tears, self.flushes, self.seed = subsets, tears, flushes, seed

    def at(self, entries, boundary):
        """The disks of one boundary, each once: all writes, none since the flush, subsets, tears, and sectors at random."""
        chance = random.Random(f"{self.seed}/{boundary}")
        safe, open_to = pending(entries, boundary, self.flushes)
        # What was written with FUA is always there.
        kept = [index for index in open_to if self.flushes is None and entries[index].flags & FUA]
        may_go = [index for index in open_to if index not in kept]
        seen = set()

        def cut(kind, pieces):
            made = Cut(boundary, kind, safe, sorted(pieces))
            if made.key() not in seen:
                seen.add(made.key())
                yield made

        full = lambda indexes: [whole(index, entries[index]) for index in indexes]
        yield from cut("prefix", full(open_to))
        yield from cut("flushed", full(kept))
        for _ in range(self.subsets if len(may_go) > 1 else 0):
            share = chance.choice((0.2, 0.5, 0.8))
            yield from cut("subset", full(kept + [index for index in may_go if chance.random() < share]))
        for torn, at in self.torn(entries, may_go, chance):
            others = [index for index in may_go if index != torn]
            if chance.random() < 0.5:
                others = [index for index in others if chance.random() < 0.5]
            length = entries[torn].length // SECTOR
            piece = (torn, 0, at) if chance.random() < 0.7 else (torn, at, length)
            yield from cut("torn", full(kept + others) + [piece])
        for _ in range(1 if self.subsets and may_go else 0):
            pieces = [(index, at, at + 1) for index in may_go for at in range(entries[index].length // SECTOR) if chance.random() < 0.5]
            yield from cut("sectors", full(kept) + pieces)

    def torn(self, entries, may_go, chance):
        """Which write is torn, and where: the last one at each of its edges, as far as the number allows, and others at random."""
        if not may_go:
            return
        last = may_go[-1]
        edges = list(range(1, entries[last].length // SECTOR))
        chance.shuffle(edges)
        for at in edges[: self.tears]:
            yield last, at
        for _ in range(min(self.tears, len(may_go) - 1)):
            index = chance.choice(may_go)
            if entries[index].length > SECTOR:
                yield index, chance.randrange(1, entries[index].length // SECTOR)


class Disk:
    """A disk at a boundary, as a sparse file: what is safe stays in one file, a cut is a copy of it with the chosen pieces on top."""

    def __init__(self, log, base, folder, window=None):
        """`base` before the first entry; `window` is the part (offset, length) of the disk that the files show."""
        self.log, self.at = log, 0
        self.start, self.length = window or (0, os.path.getsize(base))
        self.safe_path, self.cut_path = os.path.join(folder, "safe.img"), os.path.join(folder, "cut.img")
        copy_sparse(base, self.safe_path, self.start, self.length)
        self.safe = open(self.safe_path, "r+b", buffering=0)

    def close(self):
        """Takes the files away."""
        self.safe.close()
        for path in (self.safe_path, self.cut_path):
            if os.path.exists(path):
                os.remove(path)

    def forward(self, boundary):
        """Makes everything before the boundary safe."""
        if boundary < self.at:
            raise ValueError(f"the disk is at {self.at}, not before {boundary}")
        for index in range(self.at, boundary):
            entry = self.log.entries[index]
            self.put(self.safe, (index, 0, entry.length // SECTOR))
        self.at = boundary

    def put(self, file, piece):
        """Some sectors of one write, as far as they lie in the window."""
        index, first, end = piece
        entry = self.log.entries[index]
        begin, stop = entry.offset + first * SECTOR, entry.offset + end * SECTOR
        begin, stop = max(begin, self.start), min(stop, self.start + self.length)
        if begin < stop:
            data = self.log.data(entry)
            os.pwrite(file.fileno(), data[begin - entry.offset : stop - entry.offset], begin - self.start)

    def make(self, cut):
        """The path of a file with the disk of this cut."""
        self.forward(cut.safe)
        copy_sparse(self.safe_path, self.cut_path, 0, self.length)
        with open(self.cut_path, "r+b", buffering=0) as file:
            for piece in cut.pieces:
                self.put(file, piece)
        return self.cut_path

    def lay_over(self, cut):
        """The same in place: the file of what is safe, changed, and what was there before, for `take_off`."""
        self.forward(cut.safe)
        before = []
        for piece in cut.pieces:
            index, first, end = piece
            begin = self.log.entries[index].offset + first * SECTOR - self.start
            length = (end - first) * SECTOR
            if begin >= 0:
                before.append((begin, os.pread(self.safe.fileno(), length, begin)))
            self.put(self.safe, piece)
        return self.safe_path, before

    def take_off(self, before):
        """Undoes `lay_over`."""
        for begin, data in reversed(before):
            os.pwrite(self.safe.fileno(), data, begin)


def copy_sparse(source, target, start, length):
    """Copies the data of a file, and leaves holes as they are."""
    with open(source, "rb", buffering=0) as from_, open(target, "wb", buffering=0) as to:
        to.truncate(length)
        at, end = start, min(start + length, os.fstat(from_.fileno()).st_size)
        while at < end:
            try:
                at = os.lseek(from_.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            stop = min(os.lseek(from_.fileno(), at, os.SEEK_HOLE), end)
            while at < stop:
                data = os.pread(from_.fileno(), min(stop - at, 1 << 20), at)
                os.pwrite(to.fileno(), data, at - start)
                at += len(data)


def punch(path):
    """Makes holes of a file's zeros, so that copies of it are quick."""
    with open(path, "r+b", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        blocks = []
        for at in range(0, size, 65536):
            data = os.pread(file.fileno(), 65536, at)
            if any(data):
                blocks.append((at, data))
        file.truncate(0)
        file.truncate(size)
        for at, data in blocks:
            for inner in range(0, len(data), 4096):
                if any(data[inner : inner + 4096]):
                    os.pwrite(file.fileno(), data[inner : inner + 4096], at + inner)
