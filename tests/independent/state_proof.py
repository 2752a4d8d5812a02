"""Verifies that a name is in a state, or is not (SPEC 5.3). Usage: state_proof.py ROOT_HEX FILE; exits 0 when it holds, else 1"""
import hashlib
import sys

import cbor2


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def bits(key):
    return [byte >> shift & 1 for byte in key for shift in range(7, -1, -1)]


def verify(root, data):
    proof = cbor2.loads(data)
    assert cbor2.dumps(proof, canonical=True) == data and set(proof) <= {0, 1, 2, 3, 4}, "form"
    assert proof[0] == "tabellion/state-proof/1" and not (2 in proof and 4 in proof), "form"
    key, siblings, running = sha256(proof[1].encode()), proof[3], bytes(32)
    assert len(siblings) <= 256 and all(isinstance(s, bytes) and len(s) == 32 for s in siblings), "siblings"
    if 2 in proof:
        running = sha256(b"\x02", key, sha256(cbor2.dumps(proof[2], canonical=True)))
    if 4 in proof:
        other, content = proof[4]
        assert len(other) == len(content) == 32 and other != key, "the other leaf has the name's own key"
        assert bits(other)[:len(siblings)] == bits(key)[:len(siblings)], "the other leaf is not in the way"
        running = sha256(b"\x02", other, content)
    for side, sibling in reversed(list(zip(bits(key), siblings))):
        running = sha256(b"\x03", sibling, running) if side else sha256(b"\x03", running, sibling)
    assert running == root, f"leads to {running.hex()}, expected {root.hex()}"
    return f"{'present' if 2 in proof else 'absent'}: {proof[1]}"


if __name__ == "__main__":
    try:
        print("state-proof: ok", verify(bytes.fromhex(sys.argv[1]), open(sys.argv[2], "rb").read()))
    except Exception as fault:
        sys.exit(f"state-proof: refused: {fault!r}")
