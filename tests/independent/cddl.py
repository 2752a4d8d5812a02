"""Checks every CBOR item of a published folder against proposals-schema/tabellion.cddl with cddl-verifier.

Usage: cddl.py SCHEMA FOLDER [MOST]

Items are cut out of their files by offset and never encoded again. Of each type MOST items are checked (all without it), spread evenly,
and the first and the last of each file; the first and the last of the type are also given to the command `cddl-verify -t TYPE`.
"""
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import cbor2
from cddl_verifier import Validator

from common import Folder, prefixed, sha256, split

TREE = "application/vnd.tabellion.tree+cbor"


def items(folder):
    """Every item of the folder as (type, where, bytes), those inside byte strings too."""
    common = folder.common
    for kind, cut, rule in (("tile/entries", prefixed, "record"), ("papers", split, "paper-united")):
        for path in sorted(p for p in (common / kind).rglob("*") if p.is_file()):
            for at, item in cut(path.read_bytes()):
                yield rule, f"{path.relative_to(common)}:{at}", item
                if rule == "paper-united":
                    yield from inside(item, f"{path.relative_to(common)}:{at}")
    for pattern, rule in (("charter.cose", "charter-united"), ("rotation/*.order", "order-united"), ("policies/*.cbor", "policy")):
        for path in sorted(common.glob(pattern)):
            yield rule, str(path.relative_to(common)), path.read_bytes()
    for path in sorted(common.glob("sessions/*/*.papers")):
        for at, item in split(path.read_bytes()):
            yield "session-item", f"{path.relative_to(common)}:{at}", item
    for path in sorted(folder.results.glob("*.receipts")):
        for at, item in split(path.read_bytes()):
            yield "receipt-item", f"results/{path.name}:{at}", item
    for path in sorted(folder.path.glob("state-proofs/*.proof")):
        yield "state-proof", str(path.relative_to(folder.path)), path.read_bytes()
    trees = trees_named(folder)
    for path in sorted(common.glob("objects/*/*.objects")):
        for at, item in split(path.read_bytes()):
            where = f"{path.relative_to(common)}:{at}"
            yield "bundle-object" if at else "bundle-header", where, item
            content = cbor2.loads(item) if at else None
            if at and sha256(content) in trees:
                yield "tree", where, content


def inside(envelope, where):
    """The items that stand in the byte strings of an envelope: determinism does not reach into them by itself."""
    body, _, payload, signatures = cbor2.loads(envelope).value
    media = cbor2.loads(body)[3]
    kind = media.removeprefix("application/vnd.tabellion.").removesuffix("+cbor")
    yield f"body-protected-{kind}", where, body
    yield kind, where, payload
    for protected, _, _ in signatures:
        yield "sign-protected", where, protected
    content = cbor2.loads(payload)
    if kind == "charter":
        yield "policy", where, content[6]
    for operation in content[5] if kind == "proposal" else []:
        if operation[0] == 3:
            yield "policy", where, operation[4]


def trees_named(folder):
    """Hashes of the contents that some accepted paper calls a tree."""
    payloads = [cbor2.loads(cbor2.loads(p).value[2]) for p in folder.papers()]
    entries = [op[2] for p in payloads if 5 in p and isinstance(p[5], list) for op in p[5] if op[0] == 1]
    return {entry[0] for entry in entries if entry[2] == TREE}


def file_of(item):
    return item[0].split(":")[0]


def spread(found, most):
    """At most `most` of a list, evenly, the first and the last among them; and the first and the last of each file."""
    if len(found) <= most:
        return found
    last = len(found) - 1
    evenly = {i * last // (most - 1) for i in range(most)}
    edges = {i for i in range(1, last) if file_of(found[i - 1]) != file_of(found[i]) or file_of(found[i]) != file_of(found[i + 1])}
    return [found[i] for i in sorted(evenly | edges)]


def command(schema, rule, item):
    """What the command says of one item: 0 when it is valid."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(item)
        file.flush()
        line = [sys.executable, "-m", "cddl_verifier", "--require-deterministic", "-t", rule, "-o", "/dev/null", schema, file.name]
        return subprocess.run(line, capture_output=True, check=False).returncode


def main(schema, path, most):
    validator, by_type = Validator(Path(schema)), defaultdict(list)
    for rule, where, item in items(Folder(path)):
        by_type[rule].append((where, item))
    for needed in ("record", "paper-united", "charter-united", "policy", "session-item"):
        if not by_type[needed]:
            sys.exit(f"cddl: refused: the folder has no {needed}")
    checked = 0
    for rule, found in sorted(by_type.items()):
        for where, item in spread(found, most):
            result = validator.validate(item, rule, require_deterministic=True)
            if not result.valid:
                sys.exit(f"cddl: refused: {where} is no {rule}: {'; '.join(result.errors)}")
            checked += 1
        for where, item in found[:1] + found[1:][-1:]:
            if command(schema, rule, item) != 0:
                sys.exit(f"cddl: refused by cddl-verify: {where} is no {rule}")
    print("cddl:", ", ".join(f"{len(found)} {rule}" for rule, found in sorted(by_type.items())))
    print(f"cddl: ok {checked} of {sum(map(len, by_type.values()))} items")


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 10**9)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, cbor2.CBORDecodeError) as fault:
        sys.exit(f"cddl: refused: {fault!r}")
