"""docs/verify-by-hand.md says what to type; here it is typed (A8, A16)."""

import re
import subprocess
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "verify-by-hand.md"


def commands() -> list[str]:
    (block,) = re.findall(r"```console\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def run_guide(folder: Path, tar: Path, key: Path) -> subprocess.CompletedProcess[str]:
    (folder / "routeiq-0.1.0-linux-amd64.tar").write_bytes(tar.read_bytes())
    (folder / "routeiq.pub").write_bytes(key.read_bytes())
    script = "set -eu\n" + "\n".join(commands())
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)


def test_the_guide_accepts_a_good_bundle(bundle_tar: Path, public_key_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "by hand"
    folder.mkdir()
    result = run_guide(folder, bundle_tar, public_key_file)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "Verified OK\nnothing extra, nothing missing\n"


def test_the_guide_refuses_a_changed_file(bundle_tar: Path, public_key_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "by hand"
    folder.mkdir()
    data = bytearray(bundle_tar.read_bytes())
    data[len(data) // 2] ^= 1
    bundle_tar.write_bytes(bytes(data))
    result = run_guide(folder, bundle_tar, public_key_file)
    assert result.returncode != 0
    assert "FAILED" in result.stdout
