"""The writes of a disk, in order, as qemu's `blklogwrites` driver logs them (the format of Linux's dm-log-writes).

Owns the log's bytes: what was written where, and where the disk was told to flush. Never decides what of it may be lost: that is `cuts`.
A log is a block of one sector, `magic, version, number of entries, sector size`, and then each entry: a block `sector, number of sectors,
flags, length` and, but for a discard, as many sectors of data.
"""

import mmap
import struct

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
SUPER = struct.Struct("<QQQI")
HEADER = struct.Struct("<QQQQ")


class Broken(Exception):
    """The log is not what the driver writes."""


class Entry:
    """One thing a disk was told: to write `length` bytes at `offset`, to flush, or both."""

    __slots__ = ("offset", "length", "flags", "at")

    def __init__(self, offset, length, flags, at):
        self.offset, self.length, self.flags, self.at = offset, length, flags, at

    def is_barrier(self):
        """Everything before it is safe when it is done."""
        return bool(self.flags & FLUSH)

    def __repr__(self):
        return f"Entry({self.offset}, {self.length}, {self.flags})"


def count(path):
    """How many entries the log has now: read while the disk is in use, it is how far the disk has come."""
    with open(path, "rb") as file:
        head = file.read(SUPER.size)
    if len(head) < SUPER.size:
        return 0
    magic, _, entries, _ = SUPER.unpack(head)
    return entries if magic == MAGIC else 0


class Log:
    """All entries of a finished log."""

    def __init__(self, path):
        self.file = open(path, "rb")
        self.bytes = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        magic, version, number, sector = SUPER.unpack_from(self.bytes, 0)
        if (magic, version) != (MAGIC, 1):
            raise Broken(f"{path}: magic {magic:#x} and version {version} found; {MAGIC:#x} and 1 expected")
        if sector < 512 or sector & (sector - 1):
            raise Broken(f"{path}: sectors of {sector} bytes")
        self.sector, self.entries, at = sector, [], sector
        for index in range(number):
            if at + HEADER.size > len(self.bytes):
                raise Broken(f"{path}: {number} entries announced, the file ends in entry {index}")
            start, sectors, flags, _ = HEADER.unpack_from(self.bytes, at)
            at += sector
            if flags & ~(FLUSH | FUA | DISCARD | MARK):
                raise Broken(f"{path}: entry {index} has flags {flags:#x}")
            data = 0 if flags & DISCARD else sectors * sector
            if at + data > len(self.bytes):
                raise Broken(f"{path}: entry {index} ends behind the file")
            self.entries.append(Entry(start * sector, sectors * sector, flags, at))
            at += data

    def data(self, entry):
        """What was written; a discard leaves zeros."""
        if entry.flags & DISCARD:
            return bytes(entry.length)
        return self.bytes[entry.at : entry.at + entry.length]

    def told(self):
        """How many writes, and how many flushes, with or without a write."""
        writes = sum(1 for entry in self.entries if entry.length)
        return writes, sum(1 for entry in self.entries if entry.flags & (FLUSH | FUA))


def compose(entries, sector=512):
    """A log made by hand, for the tests: pairs of flags and either None or (offset, data)."""
    out = [SUPER.pack(MAGIC, 1, len(entries), sector).ljust(sector, b"\0")]
    for flags, write in entries:
        offset, data = write or (0, b"")
        out.append(HEADER.pack(offset // sector, len(data) // sector, flags, 0).ljust(sector, b"\0"))
        out.append(b"" if flags & DISCARD else data)
    return b"".join(out)
