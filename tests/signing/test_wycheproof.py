"""A8: P-256 of `verify.pyz` gives the verdicts of Project Wycheproof, and those of `cryptography`."""

import json
from pathlib import Path

from routeiq_signing._p256 import read_public_pem, verify
from routeiq_signing.keys import PublicKey

VECTORS = Path(__file__).parent / "wycheproof" / "ecdsa_secp256r1_sha256.json"


def test_every_vector_has_the_same_verdict_by_plain_python_and_by_cryptography() -> None:
    counts = {"valid": 0, "invalid": 0}
    for pem, tests in json.loads(VECTORS.read_text()):
        keyid, point = read_public_pem(pem.encode(), "key")
        other = PublicKey.from_pem(pem.encode(), "key")
        assert keyid == other.keyid
        for number, result, message, signature, _, comment in tests:
            what = f"{number}: {comment}"
            given = bytes.fromhex(signature), bytes.fromhex(message)
            assert verify(point, *given) is (result == "valid"), what
            assert other.verifies(*given) is (result == "valid"), what
            counts[result] += 1
    assert counts == {"valid": 174, "invalid": 310}
