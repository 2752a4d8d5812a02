"""Writes files into a new, empty exFAT file system in a file: there is a maker and a checker for exFAT that need no root, and no writer.

From "exFAT file system specification" (Microsoft, 2019): boot sector (section 3), allocation bitmap (7.1), directory entries (6, 7.4, 7.6, 7.7).
Files and folders are laid out one behind the other and need no chains; names are ASCII; the root folder keeps its one cluster.
"""

from __future__ import annotations

import struct
from pathlib import Path

ENTRY = 32
FOLDER, ARCHIVE = 0x10, 0x20
# 2026-11-21 12:00:00, in the format of 7.4.8.
MOMENT = (2026 - 1980) << 25 | 11 << 21 | 21 << 16 | 12 << 11
# Clusters are there, and follow one another without a chain (6.3.4).
CONTIGUOUS = 0x03

Tree = dict[str, "bytes | Tree"]


def rotated_sum(data: bytes, skipped: tuple[int, ...] = ()) -> int:
    """The 16-bit sum of 6.3.3 and 7.6.4, over all bytes but those at the places skipped."""
    total = 0
    for at, byte in enumerate(data):
        if at not in skipped:
            total = ((total << 15 | total >> 1) + byte) & 0xFFFF
    return total


def entries(name: str, attributes: int, first_cluster: int, length: int) -> bytes:
    """The set of directory entries of one file or folder."""
    assert name.isascii() and 0 < len(name) <= 255, name
    letters = name.encode("utf-16-le")
    pieces = [letters[at:at + 30] for at in range(0, len(letters), 30)]
    made = struct.pack("<BBHHHIII12x", 0x85, 1 + len(pieces), 0, attributes, 0, MOMENT, MOMENT, MOMENT)
    made += struct.pack("<BBBBHHQIIQ", 0xC0, CONTIGUOUS if length else 0x01, 0, len(name), rotated_sum(name.upper().encode("utf-16-le")), 0, length, 0,
                        first_cluster, length)
    for piece in pieces:
        made += b"\xc1\x00" + piece.ljust(30, b"\0")
    return made[:2] + struct.pack("<H", rotated_sum(made, (2, 3))) + made[4:]


class Exfat:
    """An empty file system, as its maker left it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._image = bytearray(file.read_bytes())
        assert self._image[3:11] == b"EXFAT   ", f"{file} is no exFAT"
        heap, self._count, self._root = struct.unpack_from("<III", self._image, 88)
        sector_shift, cluster_shift = self._image[108], self._image[109]
        self._heap = heap << sector_shift
        self.cluster_bytes = 1 << sector_shift + cluster_shift
        root = self._place(self._root)
        kinds = {self._image[at]: at for at in range(root, root + self.cluster_bytes, ENTRY) if self._image[at]}
        (bitmap_cluster,) = struct.unpack_from("<I", self._image, kinds[0x81] + 20)
        self._bitmap = self._place(bitmap_cluster)
        self._next = max(cluster for cluster in range(2, self._count + 2) if self._is_taken(cluster)) + 1

    def _place(self, cluster: int) -> int:
        return self._heap + (cluster - 2) * self.cluster_bytes

    def _is_taken(self, cluster: int) -> bool:
        return bool(self._image[self._bitmap + (cluster - 2) // 8] >> (cluster - 2) % 8 & 1)

    def _write(self, data: bytes) -> int:
        """Writes into the next clusters and gives the first of them back."""
        first = self._next
        for cluster in range(first, first + -(-len(data) // self.cluster_bytes)):
            assert cluster < self._count + 2, f"{self._file} is full"
            self._image[self._bitmap + (cluster - 2) // 8] |= 1 << (cluster - 2) % 8
            self._next = cluster + 1
        at = self._place(first)
        self._image[at:at + len(data)] = data
        return first if data else 0

    def _folder(self, tree: Tree) -> bytes:
        made = b""
        for name, content in tree.items():
            if isinstance(content, bytes):
                made += entries(name, ARCHIVE, self._write(content), len(content))
            else:
                inside = self._folder(content)
                whole = inside.ljust(max(1, -(-len(inside) // self.cluster_bytes)) * self.cluster_bytes, b"\0")
                made += entries(name, FOLDER, self._write(whole), len(whole))
        return made

    def fill(self, tree: Tree) -> None:
        """Puts the tree into the root folder and writes the file."""
        made = self._folder(tree)
        root = self._place(self._root)
        used = next(at for at in range(root, root + self.cluster_bytes, ENTRY) if not self._image[at])
        assert used + len(made) <= root + self.cluster_bytes, "the root folder has one cluster"
        self._image[used:used + len(made)] = made
        self._file.write_bytes(self._image)
