"""Verifies the state proof in a proof of a name against the state root of the record in it (SPEC 5.4, 5.3); that the record is in the signed
log is for go/proofs. Usage: name_proof.py FILE; exits 0 when it holds, else 1"""
import base64
import sys

import cbor2

from state_proof import verify


def lines_of(data):
    head, inclusion = data.decode().split("\n\n", 1)
    first, state = head.split("\n")
    assert first == "tabellion-proof v1" and state.startswith("state-proof "), "the lines in front"
    kind, extra, index = inclusion.split("\n")[:3]
    assert kind == "c2sp.org/tlog-proof@v1" and extra.startswith("extra ") and index.startswith("index "), "the proof of inclusion"
    return base64.b64decode(state[12:], validate=True), base64.b64decode(extra[6:], validate=True), int(index[6:])


if __name__ == "__main__":
    try:
        state, entry, index = lines_of(open(sys.argv[1], "rb").read())
        record = cbor2.loads(entry)
        assert record[0] == "tabellion/record/1" and record[1] == index + 1, "the record"
        print("name-proof: ok", verify(record[5], state), f"at common@{record[1]}")
    except Exception as fault:
        sys.exit(f"name-proof: refused: {fault!r}")
