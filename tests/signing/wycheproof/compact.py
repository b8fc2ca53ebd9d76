"""Makes the compact copy from Wycheproof's file: `python compact.py ecdsa_secp256r1_sha256_test.json`.

Keeps every vector whole; leaves out the notes, and the spellings of each key but the PEM one.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent


def compact(document: dict) -> str:  # type: ignore[type-arg]
    lines = []
    for group in document["testGroups"]:
        assert (group["type"], group["sha"]) == ("EcdsaVerify", "SHA-256")
        tests = [
            [t["tcId"], t["result"], t["msg"], t["sig"], t["flags"], t["comment"]] for t in group["tests"]
        ]
        lines.append(json.dumps([group["publicKeyPem"], tests], separators=(",", ":")))
    return "[\n" + ",\n".join(lines) + "\n]\n"


if __name__ == "__main__":
    made = compact(json.loads(Path(sys.argv[1]).read_text()))
    (HERE / "ecdsa_secp256r1_sha256.json").write_text(made)
