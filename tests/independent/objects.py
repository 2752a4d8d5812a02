"""Checks the packs of contents and their indexes, and the trees among them (SPEC 3.12, 3.13, 8.3). Usage: objects.py FOLDER"""
import sys
from unicodedata import is_normalized

import cbor2

from common import Folder, sha256, split

folder, seen, kept = Folder(sys.argv[1]), set(), {}
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
    kept.update(zip(hashes, contents))
    ends = [at + len(item) for at, item in items]
    rows = b"".join(h + (end - len(c)).to_bytes(8, "big") for h, c, end in zip(hashes, contents, ends))
    assert pack.with_suffix(".index").read_bytes() == rows, f"{pack.name}: the index is another"

TREE = "application/vnd.tabellion.tree+cbor"
operations = [op for paper in folder.papers()[1:] for op in cbor2.loads(cbor2.loads(paper).value[2])[5]]
trees = {op[2][0] for op in operations if op[0] == 1 and op[2][2] == TREE} & seen
members = 0
for digest in trees:
    rows = cbor2.loads(kept[digest])
    paths = [path for path, *_ in rows]
    assert cbor2.dumps(rows) == kept[digest], f"tree {digest.hex()}: not deterministic"
    assert all(a.encode() < b.encode() for a, b in zip(paths, paths[1:])), f"tree {digest.hex()}: paths do not ascend"
    for path, executable, size, content in rows:
        assert is_normalized("NFC", path) and not {"", ".", ".."} & set(path.split("/")) and "\\" not in path, f"path {path!r}"
        assert executable in (True, False) and (content not in kept or len(kept[content]) == size), f"{path!r} has another size"
        members += content in kept
print(f"objects: ok {len(seen)} contents, {len(trees)} trees with {members} members")
