"""Checks the packs of contents and their indexes (SPEC 3.12, 8.3). Usage: objects.py FOLDER"""
import sys

import cbor2

from common import Folder, sha256, split

folder, seen = Folder(sys.argv[1]), set()
for pack in sorted(folder.common.glob("objects/*/*.objects")):
    data = pack.read_bytes()
    assert data[:4] == bytes.fromhex("d9d9f784"), f"{pack.name}: no bundle header"
    (_, header), *items = split(data)
    hashes = [sha256(cbor2.loads(item)) for _, item in items]
    contents = [cbor2.loads(item) for _, item in items]
    found = ["tabellion/bundle/1", 0, len(items), sum(map(len, contents))]
    assert cbor2.loads(header) in (found, cbor2.CBORTag(55799, found)), f"{pack.name}: header is {header.hex()}, found {found}"
    assert hashes == sorted(set(hashes)), f"{pack.name}: objects do not ascend"
    assert not seen & set(hashes), f"{pack.name}: an object was in an earlier pack"
    seen |= set(hashes)
    ends = [at + len(item) for at, item in items]
    rows = b"".join(h + (end - len(c)).to_bytes(8, "big") for h, c, end in zip(hashes, contents, ends))
    assert pack.with_suffix(".index").read_bytes() == rows, f"{pack.name}: the index is another"
print(f"objects: ok {len(seen)} contents")
