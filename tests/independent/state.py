"""State of Common, rebuilt from the papers of the accepted records (SPEC 5.2). Usage: state.py FOLDER"""
import sys

import cbor2

from common import Folder, sha256


def put(node, key, leaf, depth=0):
    """The tree `node` with `leaf` at `key`, without it for None. A leaf is (hash, key), a branch (hash, left, right)."""
    if node is None or len(node) == 2 and node[1] == key:
        return leaf and (leaf, key)
    if len(node) == 2 and leaf is None:
        return node
    sides = list(node[1:]) if len(node) == 3 else [None, None]
    if len(node) == 2:
        sides[node[1][depth // 8] >> 7 - depth % 8 & 1] = node
    side = key[depth // 8] >> 7 - depth % 8 & 1
    sides[side] = put(sides[side], key, leaf, depth + 1)
    alone = sides[0] or sides[1]
    if None in sides and (alone is None or len(alone) == 2):
        return alone
    return (sha256(b"\x03" + b"".join(s[0] if s else bytes(32) for s in sides)), *sides)


state, folder = None, Folder(sys.argv[1])
records, papers = folder.records(), folder.papers()
assert len(records) == len(papers) > 0, f"{len(records)} records, {len(papers)} papers"
for number, (record, paper) in enumerate(zip(map(cbor2.loads, records), papers), 1):
    payload = cbor2.loads(paper).value[2]
    for operation in cbor2.loads(payload)[5] if record[2] == 1 else []:
        key = sha256(operation[1].encode())
        entry = cbor2.dumps(operation[2], canonical=True) if operation[0] == 1 else None
        state = put(state, key, entry and sha256(b"\x02" + key + sha256(entry)))
    root = state[0] if state else bytes(32)
    assert root == record[5], f"record {number}: state root is {root.hex()}, the record says {record[5].hex()}"
    assert sha256(payload) == record[3], f"record {number}: the paper is another"
print(f"state: ok common@{len(records)} {root.hex()}")
