#!/usr/bin/python3
"""Cuts the pictures of docs/operator.md out of the screens that the tests `uefi` and `uefi-troubles` kept.

    image/test/pictures.py image/test/out docs/pictures

Nothing is drawn or written over: the black around the console is cut away, and that is all.
"""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MARGIN = 12
# The picture's name, and how the file of the screen ends that it is cut out of; of several the one with this place in their order.
PICTURES = {
    "founding-empty": ("uefi/1-founding-*-an-empty-data-disk.png", 0),
    "founding-die": ("uefi/1-founding-*-founding-the-die.png", 1),
    "fingerprint": ("uefi/2-founded-*-the-fingerprint.png", 0),
    "head-code": ("uefi/2-founded-*-the-head-as-a-code.png", 0),
    "this-machine": ("uefi/2-founded-*-this-machine.png", 0),
    "home": ("uefi/3-session-*-home.png", 3),
    "last-head": ("uefi/3-session-*-the-last-head.png", 0),
    "old-copy": ("uefi/3-session-*-this-disk-is-an-old-copy.png", 0),
    "inventory": ("uefi/3-session-*-what-the-sticks-bring.png", 0),
    "passphrase": ("uefi/3-session-*-the-passphrase.png", 0),
    "paper": ("uefi/3-session-*-paper-1-of-*.png", 0),
    "paper-pending": ("uefi/3-session-*-paper-2-of-*.png", 0),
    "confirm": ("uefi/3-session-*-confirm.png", 0),
    "safe-to-remove": ("uefi/3-session-*-safe-to-remove.png", 0),
    "write-down": ("uefi/3-session-*-write-down-the-head.png", 0),
    "switch-off": ("uefi/3-session-*-switch-off.png", 0),
    "two-ledgers": ("uefi-troubles/*-two-ledgers.png", 0),
    "stick-failed": ("uefi-troubles/*-not-every-stick-has-its-results.png", 0),
    "disk-failed": ("uefi-troubles/*-the-desk-s-own-disk-failed.png", 0),
}


def pieces(png: bytes) -> dict[bytes, bytes]:
    """The pieces of a PNG file by their names; those of one name together."""
    if not png.startswith(SIGNATURE):
        raise ValueError("no PNG file")
    found, at = {}, len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        name = png[at + 4 : at + 8]
        found[name] = found.get(name, b"") + png[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def paeth(left: int, above: int, corner: int) -> int:
    """The neighbour that is nearest to what the three foretell (PNG specification, 9.4)."""
    foretold = left + above - corner
    return min((abs(foretold - left), 0, left), (abs(foretold - above), 1, above), (abs(foretold - corner), 2, corner))[2]


def rows(png: bytes) -> list[bytes]:
    """The rows of a picture of 8 bits a colour, three colours a point, without filters."""
    found = pieces(png)
    width, height, bits, colours, _, _, laced = struct.unpack(">IIBBBBB", found[b"IHDR"])
    if (bits, colours, laced) != (8, 2, 0):
        raise ValueError(f"{bits} bits, colour type {colours}, interlace {laced}; 8, 2 and 0 expected")
    data, length = zlib.decompress(found[b"IDAT"]), width * 3
    out, above = [], bytes(length)
    for number in range(height):
        start = number * (length + 1)
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + length])
        for at in range(length if kind else 0):
            left, corner = (row[at - 3], above[at - 3]) if at >= 3 else (0, 0)
            row[at] = (row[at] + (0, left, above[at], (left + above[at]) // 2, paeth(left, above[at], corner))[kind]) & 255
        above = bytes(row)
        out.append(above)
    return out


def cut(picture: list[bytes]) -> list[bytes]:
    """What is not black, with a margin around it."""
    lit = [number for number, row in enumerate(picture) if any(row)]
    if not lit:
        raise ValueError("a black screen")
    columns = [at for row in picture for at in (len(row) - len(row.lstrip(b"\0")), len(row.rstrip(b"\0"))) if any(row)]
    first, last = min(columns) // 3, -(-max(columns) // 3)
    left, right = max(first - MARGIN, 0), min(last + MARGIN, len(picture[0]) // 3)
    top, bottom = max(lit[0] - MARGIN, 0), min(lit[-1] + 1 + MARGIN, len(picture))
    return [row[left * 3 : right * 3] for row in picture[top:bottom]]


def written(picture: list[bytes]) -> bytes:
    """A picture as a PNG file, without dates or other words."""
    header = struct.pack(">IIBBBBB", len(picture[0]) // 3, len(picture), 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in picture), 9)
    parts = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    return SIGNATURE + b"".join(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts)


def main() -> int:
    """As the words above say."""
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    screens, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for name, (pattern, place) in PICTURES.items():
        found = sorted(screens.glob(pattern))
        if len(found) <= place:
            print(f"pictures: {len(found)} screens named {pattern} in {screens}; more than {place} expected", file=sys.stderr)
            return 1
        png = written(cut(rows(found[place].read_bytes())))
        (out / f"{name}.png").write_bytes(png)
        print(f"{len(png):7} bytes  {name}.png, of {found[place].name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
