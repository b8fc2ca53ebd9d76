"""docs/verify-by-hand.md says what to type; here it is typed (A8, A16)."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.signing.conftest import SmallBundle, sha256
from tests.signing.trust_parts import Producer, carrying

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "verify-by-hand.md"
TAR = "routeiq-0.1.0-linux-amd64.tar"


def commands(title: str) -> list[str]:
    """Return what the section `title` says to type."""
    (section,) = [part for part in GUIDE.read_text().split("\n## ") if part.startswith(title)]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


KEY, ROOT, NEXT = commands("With one public key"), commands("With a root"), commands("The next root")
BY_ROOT = [*ROOT[:5], *KEY, *ROOT[5:]]  # as the section says: the first one in between


def run_guide(folder: Path, typed: list[str]) -> subprocess.CompletedProcess[str]:
    script = "set -eu\n" + "\n".join(typed)
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "by hand"
    path.mkdir()
    return path


@pytest.fixture
def by_key(folder: Path, bundle_tar: Path, public_key_file: Path) -> Path:
    (folder / TAR).write_bytes(bundle_tar.read_bytes())
    (folder / "routeiq.pub").write_bytes(public_key_file.read_bytes())
    return folder


@pytest.fixture
def rooted(small_bundle: SmallBundle, producer: Producer) -> SmallBundle:
    return carrying(small_bundle, producer.metadata(small_bundle), producer.release_keys[0])


@pytest.fixture
def by_root(folder: Path, rooted: SmallBundle, producer: Producer) -> Path:
    rooted.write(folder / TAR)
    (folder / "1.root.json").write_bytes(producer.root())
    (folder / "2.root.json").write_bytes(producer.root(2))
    return folder


def spoil(tar: Path) -> None:
    data = bytearray(tar.read_bytes())
    data[len(data) // 2] ^= 1
    tar.write_bytes(bytes(data))


def test_the_guide_accepts_a_good_bundle(by_key: Path) -> None:
    result = run_guide(by_key, KEY)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "Verified OK\nnothing extra, nothing missing\n"


def test_the_guide_refuses_a_changed_file(by_key: Path) -> None:
    spoil(by_key / TAR)
    result = run_guide(by_key, KEY)
    assert result.returncode != 0
    assert "FAILED" in result.stdout


def test_the_guide_accepts_a_good_bundle_under_a_root(by_root: Path, producer: Producer) -> None:
    result = run_guide(by_root, BY_ROOT)
    assert (result.returncode, result.stderr) == (0, "")
    fingerprint, keyid, *told = result.stdout.splitlines()
    assert fingerprint == f"{sha256(producer.root())}  1.root.json"
    assert keyid == producer.release_keys[0].public.keyid
    assert told[:2] == ["Verified OK", "nothing extra, nothing missing"]
    assert told[2:6] == ["Verified OK", "Verified OK", "Verified OK", "it names this bundle"]
    assert told[6:] == ['"expires":"2099-01-01T00:00:00Z"', '"version":7', '"version":7000',
                        '"expires":"2099-01-01T00:00:00Z"', '"version":7']  # fmt: skip


def test_the_guide_refuses_a_key_that_the_root_does_not_name(by_root: Path, producer: Producer) -> None:
    (by_root / "1.root.json").write_bytes(producer.root(release=producer.release_keys[1:]))
    assert run_guide(by_root, BY_ROOT).returncode != 0


@pytest.mark.parametrize("place", range(3))
def test_the_guide_refuses_metadata_by_another_key(
    place: int, folder: Path, small_bundle: SmallBundle, producer: Producer
) -> None:
    """Signed under the right name by the wrong key: each of the three files is checked."""
    good = producer.metadata(small_bundle)
    bad = producer.metadata(small_bundle, signed_by=[producer.root_keys[0]])
    right, wrong = (key.public.keyid.encode() for key in (producer.release_keys[0], producer.root_keys[0]))
    name = sorted(good)[place]
    files = {**good, name: bad[name].replace(wrong, right)}
    carrying(small_bundle, files, producer.release_keys[0]).write(folder / TAR)
    (folder / "1.root.json").write_bytes(producer.root())
    result = run_guide(folder, BY_ROOT)
    assert result.returncode != 0
    assert "nothing extra, nothing missing" in result.stdout  # the list itself is right


def test_the_guide_refuses_metadata_of_another_bundle(
    folder: Path, small_bundle: SmallBundle, producer: Producer
) -> None:
    newer = producer.metadata(small_bundle.with_manifest(sequence=8))
    carrying(small_bundle, newer, producer.release_keys[0]).write(folder / TAR)
    (folder / "1.root.json").write_bytes(producer.root())
    assert "it names this bundle" not in run_guide(folder, BY_ROOT).stdout


def test_the_guide_counts_who_signed_the_next_root(by_root: Path, producer: Producer) -> None:
    result = run_guide(by_root, [*BY_ROOT, "echo NEXT", *NEXT])
    told = result.stdout.partition("NEXT\n")[2]
    assert (result.returncode, told.count("Verified OK")) == (0, 2)
    assert '"threshold":2}' in told
    lone = producer.root(2, signed_by=producer.root_keys[:1])
    (by_root / "2.root.json").write_bytes(lone)
    again = run_guide(by_root / "bundle", [ROOT[3], *ROOT[5:8], *NEXT])
    assert again.stdout.count("Verified OK") == 1
