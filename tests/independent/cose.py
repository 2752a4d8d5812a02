"""Decodes and verifies papers with pycose (SPEC 3.1 to 3.4): those of every record. Usage: cose.py FOLDER"""
import sys

import cbor2
from pycose.headers import KID, Algorithm, ContentType
from pycose.algorithms import EdDSA
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import CoseMessage, SignMessage

from common import Folder, sha256


def members_keys(policy):
    """The public keys of a policy by their kid."""
    keys = [key for member in cbor2.loads(policy)[1] for key, _ in member[1]]
    return {sha256(bytes.fromhex("a301012006215820") + key): key for key in keys}


folder = Folder(sys.argv[1])
charter = (folder.common / "charter.cose").read_bytes()
policy = folder.charter()[6]
policies = {sha256(policy): policy}
for path in sorted(folder.common.glob("policies/*.cbor")):
    policies[sha256(path.read_bytes())] = path.read_bytes()
records, papers, signatures = folder.records(), folder.papers(), 0
assert len(records) == len(papers) > 0 and papers[0] == charter, "papers and records do not go together"
for number, (record, paper) in enumerate(zip(map(cbor2.loads, records), papers), 1):
    keys = members_keys(policies[record[6]])
    keys.update(members_keys(policies[record[14]]) if record[2] == 2 else {})
    message = CoseMessage.decode(paper)
    assert isinstance(message, SignMessage) and message.signers, f"record {number}: no COSE_Sign with signers"
    assert message.phdr[ContentType].startswith("application/vnd.tabellion."), f"record {number}: media type"
    for signer in message.signers:  # every one: pycose would call nothing valid by itself
        assert signer.phdr[Algorithm] == EdDSA, f"record {number}: algorithm"
        signer.key = OKPKey(crv=Ed25519, x=keys[signer.phdr[KID]])
        assert signer.verify_signature(), f"record {number}: a signature does not verify"
        signatures += 1
    assert sha256(message.payload) == record[3] and sha256(paper) == record[4], f"record {number}: pid or env"
print(f"pycose: ok {signatures} signatures of {len(papers)} papers")
