"""A8, A13: what `routeiq bundle verify` and `verify.pyz` accept and refuse, by one corpus."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.signing.conftest import SmallBundle
from tests.signing.pyz_twin import verify_by_both

from routeiq_signing.bundle_file import inspect_bundle_file, pinned, verify_bundle_file
from routeiq_signing.bundle_tar import write_tar
from routeiq_signing.errors import SigningError, VerificationError
from routeiq_signing.keys import PrivateKey, PublicKey
from routeiq_signing.manifest import FileEntry
from routeiq_signing.progress import QuietProgress
from routeiq_signing.pyz import build_pyz
from routeiq_signing.tar_format import BLOCK, end_padding, header, padding
from routeiq_signing.verify.bundle import verify_bundle

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def members(tar: Path) -> dict[str, bytes]:
    with tarfile.open(tar) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]


def raw_tar(items: list[tuple[bytes, bytes]]) -> bytes:
    """A tar of (header block, content) pairs, ended as ours are."""
    out = b"".join(block + content + bytes(padding(len(content))) for block, content in items)
    return out + bytes(end_padding(len(out)))


def forged_header(name: str, size: int, kind: bytes, link: str = "") -> bytes:
    block = bytearray(header("x", size))
    block[:100] = name.encode().ljust(100, b"\0")
    block[156:157] = kind
    block[157:257] = link.encode().ljust(100, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def items_of(tar: Path) -> list[tuple[bytes, bytes]]:
    return [(header(name, len(data)), data) for name, data in members(tar).items()]


def insert(tar: Path, index: int, item: tuple[bytes, bytes]) -> bytes:
    items = items_of(tar)
    items.insert(index % (len(items) + 1), item)
    return raw_tar(items)


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def swapped(tar: Path, one: int, two: int) -> bytes:
    items = items_of(tar)
    items[one], items[two] = items[two], items[one]
    return raw_tar(items)


def without(tar: Path, name: str) -> bytes:
    return raw_tar([(header(n, len(d)), d) for n, d in members(tar).items() if n != name])


def replaced(tar: Path, name: str, content: bytes) -> bytes:
    return raw_tar(
        [
            (header(n, len(c)), c)
            for n, c in ((n, content if n == name else d) for n, d in members(tar).items())
        ]
    )


def signature_member(tar: Path, document: str) -> str:
    return next(
        name for name in members(tar) if name.startswith(f"{document}.") and name.endswith(".sigstore.json")
    )


SPOILS = {
    "a_flipped_bit_in_the_identity": (lambda t: flip(t.read_bytes(), BLOCK + 50), "signature|canonical|bundle.json"),
    "a_flipped_bit_in_a_blob": (lambda t: flip(t.read_bytes(), len(t.read_bytes()) // 2), "blobs/sha256"),
    "a_flipped_bit_in_a_header": (lambda t: flip(t.read_bytes(), 105), "header"),
    "a_flipped_bit_in_the_padding": (
        lambda t: flip(t.read_bytes(), BLOCK + len(members(t)["bundle.json"]) + 1),
        "padding",
    ),
    "a_truncated_tar": (lambda t: t.read_bytes()[:-20000], "cut off"),
    "a_tar_without_its_end": (lambda t: t.read_bytes()[:-10], "cut off"),
    "an_empty_file": (lambda _t: b"", "cut off"),
    "a_text_file": (lambda _t: b"not a tar at all\n" * 100, "bundle.json"),
    "an_extended_tar": (lambda t: t.read_bytes() + b"\0", "goes on"),
    "a_second_tar_behind_the_end": (lambda t: t.read_bytes() * 2, "goes on"),
    "reordered_blobs": (lambda t: swapped(t, -1, -2), "out of order"),
    "a_reordered_head": (lambda t: swapped(t, 0, 2), "out of order"),
    "an_extra_file_at_the_end": (lambda t: insert(t, -1, (header("extra", 1), b"x")), "extra"),
    "an_extra_file_at_the_start": (lambda t: insert(t, 0, (header("extra", 1), b"x")), "extra"),
    "a_missing_blob": (lambda t: without(t, list(members(t))[-1]), "missing"),
    "a_missing_readme": (lambda t: without(t, "README.txt"), "README.txt"),
    "a_duplicate_member": (lambda t: insert(t, 1, items_of(t)[0]), "bundle.json"),
    "a_traversal": (lambda t: insert(t, -1, (header("../evil", 1), b"x")), "evil"),
    "an_absolute_path": (lambda t: insert(t, -1, (header("/etc/evil", 1), b"x")), "evil"),
    "a_symbolic_link": (lambda t: insert(t, 8, (forged_header("l", 0, b"2", "/etc/passwd"), b"")), "symbolic link"),
    "a_hard_link": (lambda t: insert(t, 8, (forged_header("l", 0, b"1", "bundle.json"), b"")), "hard link"),
    "a_device": (lambda t: insert(t, 8, (forged_header("d", 0, b"3"), b"")), "device"),
    "a_directory": (lambda t: insert(t, 8, (forged_header("d/", 0, b"5"), b"")), "directory"),
    "a_pax_header": (lambda t: insert(t, 8, (forged_header("p", 0, b"x"), b"")), "pax"),
    "a_signature_by_another_key": (
        lambda t: insert(t, 2, (header(f"bundle.json.{'f' * 64}.sigstore.json", 4), b"junk")),
        "not strict JSON",
    ),
    "a_signature_by_another_key_before_ours": (
        lambda t: insert(t, 1, (header(f"bundle.json.{'0' * 64}.sigstore.json", 4), b"junk")),
        "not strict JSON",
    ),
    "an_unsigned_bundle": (lambda t: without(t, signature_member(t, "bundle.json")), "not signed by the pinned key"),
    "unsigned_attachments": (lambda t: without(t, signature_member(t, "attachments.json")), "not signed"),
    "a_signature_that_is_no_json": (lambda t: replaced(t, signature_member(t, "bundle.json"), b"{"), "strict JSON"),
    "a_signature_of_another_document": (
        lambda t: replaced(t, signature_member(t, "bundle.json"), members(t)[signature_member(t, "attachments.json")]),
        "not the signature",
    ),
    "other_checksums": (lambda t: replaced(t, "SHA256SUMS", members(t)["SHA256SUMS"] + b"\n"), "SHA256SUMS"),
    "a_foreign_signature_of_the_checksums": (lambda t: replaced(t, "SHA256SUMS.sig", b"\x30\x00"), "SHA256SUMS.sig"),
    "a_huge_identity": (lambda t: replaced(t, "bundle.json", bytes(9 << 20)), "more than the"),
}  # fmt: skip


@pytest.fixture(scope="session")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pyz") / "verify.pyz"
    path.write_bytes(build_pyz())
    return path


def run_pyz(pyz: Path, tar: Path, key: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(pyz), str(tar), "--key", str(key), *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_good_bundle_is_accepted(bundle_tar: Path, key: PrivateKey) -> None:
    verified = verify_by_both(bundle_tar, key=key.public, progress=QuietProgress(), now=NOW)
    assert verified.report.accepted
    assert verified.report.sequence == 7
    assert verified.report.bytes == bundle_tar.stat().st_size
    assert "one pinned key: no rollback protection, no revocation, no threshold" in verified.report.warnings


def test_the_copy_holds_every_member(bundle_tar: Path, key: PrivateKey, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    verify_by_both(bundle_tar, key=key.public, progress=QuietProgress(), now=NOW, copy_to=copy)
    found = {str(path.relative_to(copy)): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert found == members(bundle_tar)


def test_the_standalone_verifier_accepts_and_reports(
    bundle_tar: Path, public_key_file: Path, pyz: Path
) -> None:
    result = run_pyz(pyz, bundle_tar, public_key_file)
    assert (result.returncode, result.stderr) == (0, "")
    assert "accepted  sha256:" in result.stdout


@pytest.mark.parametrize("name", SPOILS)
def test_a_spoiled_bundle_is_refused_by_both_verifiers(
    name: str, bundle_tar: Path, key: PrivateKey, public_key_file: Path, pyz: Path
) -> None:
    spoil, message = SPOILS[name]
    bundle_tar.write_bytes(spoil(bundle_tar))
    with pytest.raises(VerificationError, match=message) as refusal:
        verify_bundle_file(bundle_tar, key=key.public, progress=QuietProgress(), now=NOW)
    assert refusal.value.step > 0
    result = run_pyz(pyz, bundle_tar, public_key_file)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {refusal.value}")


def test_another_key_is_refused(bundle_tar: Path, tmp_path: Path, pyz: Path) -> None:
    other = PrivateKey.generate()
    path = tmp_path / "other.pem"
    path.write_bytes(other.public.pem)
    with pytest.raises(VerificationError, match="not signed by the pinned key"):
        verify_by_both(bundle_tar, key=other.public, progress=QuietProgress(), now=NOW)
    assert run_pyz(pyz, bundle_tar, path).returncode == 1


def test_an_expired_bundle_is_refused(bundle_tar: Path, key: PrivateKey) -> None:
    with pytest.raises(VerificationError, match="expired on 2099-01-01T00:00:00Z") as refusal:
        verify_by_both(
            bundle_tar, key=key.public, progress=QuietProgress(), now=datetime(2099, 1, 1, tzinfo=UTC)
        )
    assert refusal.value.step == 5


def test_nothing_is_parsed_before_its_signature(bundle_tar: Path, key: PrivateKey) -> None:
    """A broken document with a broken signature is refused for the signature."""
    bundle_tar.write_bytes(replaced(bundle_tar, "bundle.json", b"{" * 100))
    with pytest.raises(VerificationError) as refusal:
        verify_by_both(bundle_tar, key=key.public, progress=QuietProgress(), now=NOW)
    assert refusal.value.step == 2


def test_a_manifest_that_names_a_missing_blob_is_refused(small_bundle, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    other = small_bundle.with_manifest(
        images=(
            type(small_bundle.manifest.images[0])(
                "x", f"sha256:{'2' * 64}", f"sha256:{'3' * 64}", "t:1", f"sha256:{'4' * 64}"
            ),
        )
    )
    tar = other.write(tmp_path / "b.tar")
    with pytest.raises(VerificationError, match="index.json|manifest.json|is missing") as refusal:
        verify_by_both(tar, key=other.key.public, progress=QuietProgress(), now=NOW)
    assert refusal.value.step == 8


def test_drift_is_told(small_bundle, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    drifted = small_bundle.with_manifest(drift=("openssl 3.0.1 -> 3.0.2",))
    report = verify_by_both(
        drifted.write(tmp_path / "b.tar"), key=drifted.key.public, progress=QuietProgress(), now=NOW
    ).report
    assert any("openssl 3.0.1 -> 3.0.2" in text for text in report.warnings)


def test_a_key_beside_the_tar_is_warned_of(bundle_tar: Path, key: PrivateKey) -> None:
    (bundle_tar.parent / "routeiq.pub").write_bytes(key.public.pem)
    report = verify_by_both(bundle_tar, key=key.public, progress=QuietProgress(), now=NOW).report
    assert any("routeiq.pub lies beside the tar" in text for text in report.warnings)


def test_a_missing_file_is_named(tmp_path: Path, key: PrivateKey, public_key_file: Path, pyz: Path) -> None:
    with pytest.raises(SigningError, match="no such file"):
        verify_bundle_file(tmp_path / "none.tar", key=key.public, progress=QuietProgress())
    result = run_pyz(pyz, tmp_path / "none.tar", public_key_file)
    assert (result.returncode, "none.tar" in result.stderr, "Traceback" in result.stderr) == (1, True, False)


def test_what_is_no_file_is_named_as_such(tmp_path: Path, key: PrivateKey) -> None:
    with pytest.raises(SigningError, match="not a regular file"):
        verify_bundle_file(tmp_path, key=key.public, progress=QuietProgress())


@pytest.mark.parametrize("index", [0, -1])
def test_a_members_name_cannot_speak_to_the_terminal(
    index: int, bundle_tar: Path, key: PrivateKey, public_key_file: Path, pyz: Path
) -> None:
    """A refusal that clears the screen and writes "accepted" there would be read as one."""
    name = "\x1b[2J\x1b[H\naccepted  sha256:00\r"
    bundle_tar.write_bytes(insert(bundle_tar, index, (forged_header(name, 1, b"0"), b"x")))
    with pytest.raises(VerificationError) as caught:
        verify_by_both(bundle_tar, key=key.public, progress=QuietProgress(), now=NOW)
    assert str(caught.value).isprintable()
    assert r"\x1b[2J" in str(caught.value)
    shown = run_pyz(pyz, bundle_tar, public_key_file).stderr
    assert all(line.isprintable() for line in shown.splitlines())
    assert len(shown.splitlines()) == 1


def test_a_file_that_is_no_tar_is_not_quoted(tmp_path: Path, key: PrivateKey) -> None:
    """A private key where the tar belongs must not come into the log."""
    path = tmp_path / "release.key"
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\n" + b"c2VjcmV0" * 200)
    with pytest.raises(VerificationError) as caught:
        verify_by_both(path, key=key.public, progress=QuietProgress(), now=NOW)
    assert str(caught.value) == "bundle.json: no tar's header where it must come"


def _resigned(bundle: SmallBundle, name: str, document: object, path: Path) -> Path:
    raw = json.dumps(document).encode()
    listed = tuple(
        FileEntry(name, hashlib.sha256(raw).hexdigest(), len(raw)) if entry.path == name else entry
        for entry in bundle.manifest.files
    )
    return replace(bundle.with_manifest(files=listed), files={**bundle.files, name: raw}).write(path)


@pytest.mark.parametrize("odd", [{}, {"size": None}, {"size": []}], ids=str)
def test_an_index_that_names_what_is_not_there_is_refused_without_a_size_too(
    odd: dict[str, object], small_bundle: SmallBundle, tmp_path: Path
) -> None:
    index = json.loads(small_bundle.files["index.json"])
    index["manifests"][0] = {"mediaType": "m", "digest": "sha256:" + "0" * 64, **odd}
    tar = _resigned(small_bundle, "index.json", index, tmp_path / "b.tar")
    with pytest.raises(VerificationError, match="does not hold in that size"):
        verify_by_both(tar, key=small_bundle.key.public, progress=QuietProgress(), now=NOW)


@pytest.mark.parametrize("field", ["Config", "RepoTags", "Layers"])
@pytest.mark.parametrize("value", [[[]], {}, {"a": 1}, 7, None, [{}]], ids=str)
def test_a_signed_docker_index_of_any_shape_is_refused(
    field: str, value: object, small_bundle: SmallBundle, tmp_path: Path
) -> None:
    images = json.loads(small_bundle.files["manifest.json"])
    images[0][field] = value
    tar = _resigned(small_bundle, "manifest.json", images, tmp_path / "b.tar")
    with pytest.raises(VerificationError, match=r"manifest\.json"):
        verify_by_both(tar, key=small_bundle.key.public, progress=QuietProgress(), now=NOW)


def test_reads_short_of_a_block_are_joined(bundle_tar: Path, key: PrivateKey) -> None:
    class Trickle(io.BytesIO):
        def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
            return super().readinto(memoryview(buffer)[:7])

        def read(self, size: int | None = -1) -> bytes:
            return super().read(size if size is None or size < 0 else min(size, 7))

    tar = Trickle(bundle_tar.read_bytes())
    assert verify_bundle(tar, key=pinned(key.public), now=NOW, progress=QuietProgress()).report.accepted


def test_inspect_tells_what_an_unverified_tar_says(bundle_tar: Path, key: PrivateKey) -> None:
    manifest, digest = inspect_bundle_file(bundle_tar)
    verified = verify_by_both(bundle_tar, key=key.public, progress=QuietProgress(), now=NOW)
    assert manifest == verified.manifest
    assert f"sha256:{digest}" == verified.report.digest


def test_the_same_key_gives_the_same_tar(small_bundle, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    one, two = small_bundle.write(tmp_path / "one.tar"), small_bundle.write(tmp_path / "two.tar")
    assert one.read_bytes() == two.read_bytes()  # A13


def test_stock_tar_reads_the_tar(bundle_tar: Path) -> None:
    listing = subprocess.run(
        ["tar", "-tf", bundle_tar], capture_output=True, text=True, check=True
    ).stdout.split()
    assert listing == list(members(bundle_tar))
    assert listing[0] == "bundle.json"


def test_openssl_and_sha256sum_are_enough(bundle_tar: Path, public_key_file: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-xf", bundle_tar, "-C", tmp_path], check=True)
    openssl = [
        "openssl",
        "dgst",
        "-sha256",
        "-verify",
        public_key_file,
        "-signature",
        "SHA256SUMS.sig",
        "SHA256SUMS",
    ]
    assert b"Verified OK" in subprocess.run(openssl, cwd=tmp_path, capture_output=True, check=True).stdout
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path, check=True)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "out.tar"
    with pytest.raises(FileNotFoundError):
        write_tar(target, {"a": tmp_path / "none"}, QuietProgress())
    assert list(tmp_path.iterdir()) == []


def test_the_standalone_verifier_is_small_and_built_the_same_each_time() -> None:
    assert build_pyz() == build_pyz()
    assert len(build_pyz()) < 100_000


def test_the_key_must_be_p256(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="no PEM public key"):
        PublicKey.from_pem(b"nonsense", "key.pem")
