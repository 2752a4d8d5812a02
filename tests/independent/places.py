"""Where to flip one byte of a published folder, and which check must notice. Usage: places.py FOLDER; lines `check <tab> path <tab> offset`

Always the same places for the same folder. A place is one its check has to see: a whole log is seen by Go, of a paper the state sees the
payload only, and the schema sees the shape of an item: there the head of the item is flipped, which breaks it, and a constant inside it,
which leaves deterministic CBOR that only the schema can refuse.
"""
import base64
import sys

import cbor2

from common import Folder, prefixed, split

folder = Folder(sys.argv[1])
common = folder.common


def place(check, path, offset):
    print(check, path.relative_to(folder.path).as_posix(), offset, sep="\t")


def found(pattern, root=common):
    return sorted(p for p in root.glob(pattern) if p.is_file())


def ends(paths):
    """The first and the last of a list."""
    return [paths[0], paths[-1]] if len(paths) > 1 else paths


def middle(check, path):
    place(check, path, path.stat().st_size // 2)


checkpoint = common / "checkpoint"
text_end = checkpoint.read_bytes().index(b"\n\n") + 1
size = checkpoint.stat().st_size
entries, papers = [[p for _, p in folder.wide(kind)] for kind in ("tile/entries", "papers")]
sessions, receipts = found("sessions/*/*.papers"), found("*.receipts", folder.results)
packs, proofs = found("objects/*/*.objects"), found("state-proofs/*.proof", folder.path)

# The log: every file it reads, of each kind the first and the last.
for offset in (0, text_end // 2, text_end, (text_end + size) // 2, size - 1):
    place("go-log", checkpoint, offset)
for pattern in ("tile/[0-9]/**/*", "common@*.tlog-proof", "rotation/*.tlog-proof"):
    for path in ends(found(pattern)):
        middle("go-log", path)
for pattern in ("tile/entries/**/*", "checkpoints/**/*"):
    for path in ends(found(pattern)):
        items = list(prefixed(path.read_bytes()))
        at, item = items[len(items) // 2]
        place("go-log", path, at + len(item) // 2)
        place("go-log", path, at - 1)
for level in found("tile/[1-9]/**/*")[:1]:
    place("go-log", level, level.stat().st_size - 1)
middle("go-log", common / "vkeys")
for path in receipts:
    items = list(split(path.read_bytes()))
    for at, item in ends(items):
        place("go-log", path, at + len(item) // 2)
    notes = [(at, item) for at, item in items if b"/verdict v1\n" in item]
    for at, item in notes[:1]:
        place("go-log", path, at + item.index(b"\ndetail ") + 8)
        place("go-log", path, at + len(item) - 2)

# Papers: envelope, payload and signature.
for path in ends(papers):
    at, item = list(split(path.read_bytes()))[-1]
    _, _, payload, signatures = cbor2.loads(item).value
    inside = at + item.index(payload)
    for check in ("go-papers", "pycose"):
        place(check, path, inside + len(payload) // 2)
        place(check, path, at + item.index(signatures[-1][2]) + 32)
    place("go-papers", path, at + item.index(signatures[-1][0]) + 12)
    place("state", path, inside + len(payload) // 2)
    place("cddl", path, at)
    place("cddl", path, inside + 2)
    place("cddl", path, at + item.index(bytes.fromhex("a2012704")) + 2)
def put_hashes():
    """Where the content's hash stands in the papers that put something, by file and offset."""
    for path in papers:
        for at, item in split(path.read_bytes()):
            operations = cbor2.loads(cbor2.loads(item).value[2]).get(5)
            for operation in operations if isinstance(operations, list) else []:
                if operation[0] == 1:
                    yield path, at + item.index(operation[2][0]) + 16


for path, offset in ends(list(put_hashes())):
    place("state", path, offset)  # only the root tells
for path in ends(sessions):
    at, item = list(split(path.read_bytes()))[-1]
    place("go-papers", path, at + 1 + (item_end := len(cbor2.dumps(cbor2.loads(item)[0]))) // 2)
    place("go-papers", path, at + item_end)
    place("cddl", path, at)
    place("cddl", path, at + 1 + item_end + 1)
middle("go-papers", common / "charter.cose")
place("cddl", common / "charter.cose", 0)
place("cddl", common / "charter.cose", (common / "charter.cose").read_bytes().index(b"+cbor") + 1)
for path in ends(found("policies/*.cbor")):
    middle("go-papers", path)
    place("cddl", path, 0)
    place("cddl", path, 2)
for path in found("rotation/*.order"):
    middle("go-papers", path)
    place("cddl", path, 0)

# Records: pid, and the state root, which is looked for by its value.
for path in ends(entries):
    at, item = list(prefixed(path.read_bytes()))[-1]
    record = cbor2.loads(item)
    place("go-papers", path, at + item.index(record[3]) + 16)
    place("state", path, at + item.index(b"\x05\x58\x20" + record[5]) + 18)
    place("cddl", path, at)
    place("cddl", path, at + item.index(b"tabellion/record/1") + 17)

place("openssl", checkpoint, text_end // 2)
place("openssl", checkpoint, (text_end + size) // 2)

for path in ends(receipts):
    place("cddl", path, 0)
for path in proofs:
    data, proof = path.read_bytes(), cbor2.loads(path.read_bytes())
    place("state-proof", path, len(data) - 1)
    if 2 in proof:
        place("state-proof", path, data.index(proof[2][0]) + 16)
for path in ends(proofs):
    place("cddl", path, 0)
    place("cddl", path, path.read_bytes().index(b"state-proof/1") + 12)
# Proofs that travel alone. The state proof is base64: its last digits are the last sibling, or the leaf in the way; the name is left alone,
# for the proof of an absent name is true of others too.
for path in found("proofs/*.name-proof", folder.path):
    data = path.read_bytes()
    extra, empty = data.index(b"\nextra ") + 7, data.rindex(b"\n\n")
    for offset in (3, extra + 40, data.index(b"\nindex ") + 7, data.rindex(b"\n\n", 0, empty) + 3, empty - 10, len(data) - 20):
        place("go-proofs", path, offset)
    state = data.index(b"\n\n") - 12
    entry = base64.b64decode(data[extra:data.index(b"\nindex ")])
    root = extra + (entry.index(cbor2.loads(entry)[5]) + 16) * 4 // 3
    for offset in (3, 40, state, state - 24, root):
        place("name-proof", path, offset)
for path in found("proofs/*.catch-up", folder.path):
    data = path.read_bytes()
    empty = data.index(b"\n\n")
    for offset in (4, data.index(b"\n") + 5, empty - 5, empty + 5, data.rindex(b"\n\n") - 5, len(data) - 20):
        place("go-proofs", path, offset)
# Of a fork proof the program itself flips every bit; here a byte in the middle of each.
for path in found("fork-proofs/*.proof", folder.path):
    middle("fork", path)
for path in ends(packs):
    header = next(split(path.read_bytes()))[1]
    place("objects", path, len(header) - 1)
    place("objects", path, path.stat().st_size - 1)
    middle("objects", path.with_suffix(".index"))
    place("cddl", path, 4)
    place("cddl", path, header.index(b"bundle/1") + 7)
