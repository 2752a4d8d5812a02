"""Reading a published folder (SPEC 8.3): what the other Python checks share. Usage: common.py FOLDER vkey|head-vkey|fingerprint"""
import hashlib
import sys
from pathlib import Path

import cbor2


def sha256(data):
    return hashlib.sha256(data).digest()


def split(data, at=0):
    """The items of a CBOR sequence as (offset, bytes), the bytes as they stand."""
    while at < len(data):
        end = item_end(data, at)
        cbor2.loads(data[at:end])
        yield at, data[at:end]
        at = end


def item_end(data, at):
    """Offset after the item of definite length that stands at `at`."""
    left = 1
    while left:
        left -= 1
        major, info = data[at] >> 5, data[at] & 31
        at += 1
        value = info
        if info >= 24:
            if info > 27:
                raise ValueError(f"offset {at - 1}: no definite length")
            width = 1 << info - 24
            value = int.from_bytes(data[at:at + width], "big")
            at += width
        if major in (2, 3):
            at += value
        elif major in (4, 5, 6):
            left += {4: value, 5: 2 * value, 6: 1}[major]
        if at > len(data):
            raise ValueError(f"offset {at}: the item breaks off")
    return at


def prefixed(data, at=0):
    """The items of a file of `u16be length ‖ item` as (offset, bytes)."""
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at:at + 2], "big")
        if end > len(data):
            raise ValueError(f"offset {at}: the item breaks off")
        yield at + 2, data[at + 2:end]
        at = end


class Folder:
    """A folder that holds tabellion/common, and perhaps tabellion/results and state-proofs."""

    def __init__(self, path):
        self.path = Path(path)
        self.common = self.path / "tabellion" / "common"
        self.results = self.path / "tabellion" / "results"

    def wide(self, kind):
        """Of the files of up to 256 items, as (first number, path): for each 256 the one that holds most."""
        best = {}
        for path in sorted(p for p in (self.common / kind).rglob("*") if p.is_file()):
            name, width = path.relative_to(self.common / kind).as_posix(), 256
            if ".p/" in name:
                name, width = name.split(".p/")
            first = int(name.replace("x", "").replace("/", "")) * 256 + 1
            best[first] = max(best.get(first, (0, path)), (int(width), path))
        return [(first, path) for first, (_, path) in sorted(best.items())]

    def records(self):
        return [item for _, p in self.wide("tile/entries") for _, item in prefixed(p.read_bytes())]

    def papers(self):
        return [item for _, p in self.wide("papers") for _, item in split(p.read_bytes())]

    def charter(self):
        return cbor2.loads(cbor2.loads((self.common / "charter.cose").read_bytes()).value[2])

    def vkeys(self):
        """The log's vkeys: the charter's, then one of each record that brings a new one."""
        later = [cbor2.loads(r) for r in self.records()[1:]]
        return [self.charter()[2]] + [r[10][0] for r in later if r[2] == 3]


if __name__ == "__main__":
    folder = Folder(sys.argv[1])
    print({"vkey": lambda: folder.vkeys()[0], "head-vkey": lambda: folder.vkeys()[-1],
           "fingerprint": lambda: sha256(b"\x00" + folder.records()[0]).hex()}[sys.argv[2]]())
