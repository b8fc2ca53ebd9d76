"""What the medium itself may try while a bundle is read; each test is one attack (A7, A8).

The same attacks on `mirror`, which uses what it verified, are in tests/images/test_medium_attacks.py.
"""

from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.signing.conftest import NOW, SmallBundle, sha256
from tests.signing.mutations import members_of
from tests.signing.pyz_twin import Verdict, twin
from tests.signing.rotting import rot
from tests.signing.trust_parts import Producer, Site, carrying

from routeiq_signing.bundle_file import pinned, verify_bundle_file
from routeiq_signing.errors import SigningError, VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import FileEntry, blob_path
from routeiq_signing.progress import QuietProgress
from routeiq_signing.tar_format import BLOCK, end_padding, header, padding
from routeiq_signing.trust.site import SiteTrust
from routeiq_signing.verify.bundle import verify_bundle


@pytest.fixture
def producer() -> Producer:
    return Producer()


@pytest.fixture
def site(tmp_path: Path, producer: Producer) -> Site:
    site = Site(tmp_path)
    site.init(producer.root())
    return site


@pytest.fixture
def good(small_bundle: SmallBundle, producer: Producer) -> SmallBundle:
    return carrying(small_bundle, producer.metadata(small_bundle), producer.release_keys[0])


def refused(site: Site, tar: Path, message: str) -> VerificationError:
    before = site.folder.file.read_bytes()
    with pytest.raises(VerificationError, match=message) as caught:
        site.verify(tar)
    assert site.folder.file.read_bytes() == before
    return caught.value


def test_extraneous_file_behind_the_signed_ones(site: Site, good: SmallBundle) -> None:
    tar = site.receive(good)
    raw = tar.read_bytes()
    body = (
        raw[: members_of(raw)[-1].end] + header("blobs/sha256/" + "e" * 64, 4) + b"evil" + bytes(padding(4))
    )
    tar.write_bytes(body + bytes(end_padding(len(body))))
    refused(site, tar, "not in the signed list")


def test_extraneous_file_that_only_attachments_would_name(
    site: Site, good: SmallBundle, producer: Producer
) -> None:
    """Who may attach may attach blobs, never a file that stands where a program looks for one."""
    for name in ("verify.pyz2", "README.txt", "bundle.json"):
        entry = FileEntry(name, sha256(b"evil"), 4)
        said = replace(
            good.attachments, files=tuple(sorted((*good.attachments.files, entry), key=lambda e: e.path))
        )
        bad = replace(good, attachments=said, files={**good.files, name: b"evil"})
        with pytest.raises(SigningError, match="may not be"):
            site.receive(bad)  # not even our own writer makes it
    said = replace(
        good.attachments,
        files=tuple(
            sorted(
                (
                    *good.attachments.files,
                    FileEntry(blob_path(f"sha256:{sha256(b'evil')}"), sha256(b"evil"), 4),
                ),
                key=lambda entry: entry.path,
            )
        ),
    )
    unsigned = replace(
        good, attachments=said, files={**good.files, blob_path(f"sha256:{sha256(b'evil')}"): b"evil"}
    )
    refused(site, site.receive(unsigned.signed_by(PrivateKey.generate())), "not signed by any of the keys")


def test_extraneous_files_beside_the_tar_are_nobodys(site: Site, good: SmallBundle) -> None:
    """Keys, roots and states that a medium offers are not looked at."""
    tar = site.receive(good)
    for name in ("routeiq.pub", "1.root.json", "state.json", f"{tar.name}.{'f' * 64}.cosign.json"):
        (tar.parent / name).write_bytes(b"\xff not for you")
    assert site.verify(tar).accepted


def test_symlink_swap_of_the_tar_between_two_commands(
    site: Site, good: SmallBundle, small_bundle: SmallBundle
) -> None:
    """A verdict is of bytes, not of a name: the second command judges again."""
    link = site.path / "link.tar"
    link.symlink_to(site.receive(good, "good.tar"))
    assert site.verify(link).accepted
    evil = site.receive(small_bundle.signed_by(PrivateKey.generate()), "evil.tar")
    link.unlink()
    link.symlink_to(evil)
    refused(site, link, "not signed by any of the keys")


def test_symlink_swap_of_the_tar_while_it_is_read(
    site: Site, good: SmallBundle, small_bundle: SmallBundle
) -> None:
    link = site.path / "link.tar"
    link.symlink_to(site.receive(good, "good.tar"))
    evil = site.receive(small_bundle.signed_by(PrivateKey.generate()), "evil.tar")

    class Swap(QuietProgress):
        def task(self, what: str, total: int | None, unit: str = "B") -> Any:
            link.unlink()
            link.symlink_to(evil)
            return super().task(what, total, unit)

    copy = site.path / "copy"
    copy.mkdir()
    trust = SiteTrust.for_tar(site.folder, link, NOW)
    verified = verify_bundle_file(link, key=trust, progress=Swap(), now=NOW, copy_to=copy)
    assert link.resolve() == evil
    assert (copy / "bundle.json").read_bytes() == verified.identity == good.manifest.to_bytes()


def test_a_symlink_in_the_tar_leads_nowhere(site: Site, good: SmallBundle) -> None:
    tar = site.receive(good)
    raw = tar.read_bytes()
    block = bytearray(header("blobs", 0))
    block[156:157], block[157:168] = b"2", b"/etc/passwd"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    at = members_of(raw)[6].offset
    tar.write_bytes(raw[:at] + bytes(block) + raw[at:])
    copy = site.path / "copy"
    copy.mkdir()
    with pytest.raises(VerificationError, match="a symbolic link has no place in a bundle"):
        verify_bundle_file(
            tar, key=SiteTrust.for_tar(site.folder, tar, NOW), progress=QuietProgress(), now=NOW, copy_to=copy
        )
    assert [path for path in copy.rglob("*") if path.is_symlink()] == []


def test_toctou_each_byte_is_read_once(
    site: Site, good: SmallBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The medium gives other bytes at a second reading: what was copied is what was verified."""
    tar = site.receive(good)
    expected = tar.read_bytes()
    opened = rot(tar, monkeypatch)
    copy = site.path / "copy"
    copy.mkdir()
    trust = SiteTrust.for_tar(site.folder, tar, NOW)
    verify_bundle_file(tar, key=trust, progress=QuietProgress(), now=NOW, copy_to=copy)
    trust.record(site.folder)
    assert opened() == 1
    assert site.at() == 7
    files = {str(path.relative_to(copy)): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert {name: files[name] for name in good.files} == good.files
    monkeypatch.undo()
    assert tar.read_bytes() == bytes(byte ^ 0xFF for byte in expected)  # the sensor works
    refused(site, tar, "header|bundle.json")


def test_toctou_what_the_site_signs_is_what_it_verified(
    site: Site, good: SmallBundle, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner

    from routeiq_appliance.cli.main import main
    from routeiq_signing.keys import generate_key_files
    from routeiq_signing.trust.cosign import check_site_signatures, site_signature_path

    tar = site.receive(good)
    own = generate_key_files(site.path / "site.key", b"secret")
    (site.path / "secret").write_text("secret")
    (site.path / "producer.pem").write_bytes(producer.release_keys[0].public.pem)
    rot(tar, monkeypatch)
    command = ["bundle", "cosign", str(tar), "--key", str(site.path / "site.key")]
    command += [
        "--verify-key",
        str(site.path / "producer.pem"),
        "--passphrase-file",
        str(site.path / "secret"),
    ]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    signature = site_signature_path(tar, own.public.keyid).read_bytes()
    identity = good.manifest.to_bytes()
    keys = {own.public.keyid: own.public}
    assert check_site_signatures(identity, keys, 1, {own.public.keyid: signature}) == [own.public.keyid]


class Endless(io.RawIOBase):
    """A start, then the same byte for ever; counts what was read."""

    def __init__(self, start: bytes, byte: int = 0) -> None:
        self.taken = 0
        self._start = io.BytesIO(start)
        self._byte = byte

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        count = self._start.readinto(view)
        if not count:
            view[:] = bytes([self._byte]) * len(view)
            count = len(view)
        self.taken += count
        return count


def endings(raw: bytes) -> dict[str, tuple[bytes, int]]:
    members = members_of(raw)
    return {
        "nothing but zeros": (b"", 0),
        "nothing but text": (b"", 0x41),
        "a head that never ends": (header("bundle.json", LIMITS.member), 0x7B),
        "a head of the size allowed": (header("bundle.json", LIMITS.manifest), 0x7B),
        "a signature that never ends": (raw[: members[1].offset] + b"", 0x30),
        "a blob that never ends": (raw[: members[8].offset + BLOCK], 0x41),
        "an end that never ends": (raw, 0),
    }


@pytest.mark.parametrize("name", endings(header("x", 0) * 9 + bytes(1024)))
def test_endless_data_is_left_alone(name: str, site: Site, good: SmallBundle, producer: Producer) -> None:
    """However much the medium offers, what is read is bounded by what is signed, and by the caps before that."""
    raw = site.receive(good).read_bytes()
    start, byte = endings(raw)[name]
    stream: Any = Endless(start, byte)
    tracemalloc.start()
    with pytest.raises(VerificationError):
        verify_bundle(stream, key=pinned(producer.release_keys[0].public), now=NOW, progress=QuietProgress())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert stream.taken <= len(raw) + LIMITS.manifest + (1 << 20)
    assert peak < 4 * LIMITS.manifest


def test_wrong_key_by_both_verifiers(site: Site, good: SmallBundle) -> None:
    tar, other = site.receive(good), PrivateKey.generate()
    (site.path / "other.pem").write_bytes(other.public.pem)
    with pytest.raises(VerificationError, match="not signed by the pinned key") as caught:
        verify_bundle_file(tar, key=other.public, progress=QuietProgress(), now=NOW)
    told = twin().verdict(tar, "--key", str(site.path / "other.pem"), now=NOW)
    assert told == Verdict.refused(caught.value)


def test_a_malleable_signature_changes_no_identity(site: Site, good: SmallBundle, producer: Producer) -> None:
    """ECDSA: (r, n-s) is as good a signature as (r, s). The tar differs, the bundle is the same one."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    from routeiq_signing._p256 import N

    key = producer.release_keys[0]

    class Mirrored:
        public = key.public

        def sign(self, message: bytes) -> bytes:
            r, s = decode_dss_signature(key.sign(message))
            return encode_dss_signature(r, N - s)

    honest = site.receive(good, "honest.tar")
    other = site.receive(replace(good, key=Mirrored()), "other.tar")  # type: ignore[arg-type]
    assert honest.read_bytes() != other.read_bytes()
    assert site.verify(honest).digest == site.verify(other).digest
