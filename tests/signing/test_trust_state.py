"""What a site remembers survives power cuts, and a damaged memory stops verification instead of weakening it (A7)."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.signing.conftest import NOW, SmallBundle
from tests.signing.trust_parts import Producer, Site, carrying

from routeiq_signing.errors import DocumentError, TrustStateError
from routeiq_signing.trust.admin import describe, set_clock, set_policy
from routeiq_signing.trust.document import SitePolicy, TrustState
from routeiq_signing.trust.state import StateFolder


@pytest.fixture
def tar(small_bundle: SmallBundle, producer: Producer, tmp_path: Path) -> Path:
    bundle = carrying(small_bundle, producer.metadata(small_bundle), producer.release_keys[0])
    return bundle.write(tmp_path / "medium" / "bundle.tar")


@pytest.fixture
def site(tmp_path: Path, producer: Producer, tar: Path) -> Site:
    site = Site(tmp_path)
    site.init(producer.root())
    site.verify(tar)
    return site


def test_one_file_holds_all_channels(site: Site) -> None:
    assert sorted(path.name for path in site.folder.path.iterdir()) == [
        ".lock",
        "journal.jsonl",
        "state.json",
    ]
    state = site.folder.load()
    assert list(state.channels) == ["test"]
    assert TrustState.from_bytes(state.to_bytes(), "again") == state


def test_the_folder_is_a_setting_with_one_default(tmp_path: Path) -> None:
    assert StateFolder.find({}).path == Path("/var/lib/routeiq/trust")
    assert StateFolder.find({"ROUTEIQ_TRUST_STATE": str(tmp_path)}).path == tmp_path
    assert StateFolder.find({"ROUTEIQ_TRUST_STATE": "/x"}, tmp_path).path == tmp_path


def test_a_site_without_a_state_verifies_nothing(tmp_path: Path, tar: Path) -> None:
    with pytest.raises(TrustStateError, match="trusts no root yet") as caught:
        Site(tmp_path / "new").verify(tar)
    assert "trust init" in str(caught.value.hint)


def test_a_lost_state_is_not_a_first_start(site: Site, tar: Path, producer: Producer) -> None:
    site.folder.file.unlink()
    with pytest.raises(TrustStateError, match="missing, though its journal is there") as caught:
        site.verify(tar)
    assert "backup" in str(caught.value.hint)
    with pytest.raises(TrustStateError, match="trusts a root already"):
        site.init(producer.root())


def test_a_half_written_state_stops_verification(site: Site, tar: Path) -> None:
    whole = site.folder.file.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        site.folder.file.write_bytes(whole[:length])
        with pytest.raises(TrustStateError, match="damaged") as caught:
            site.verify(tar)
        assert "restore the folder from a backup" in str(caught.value.hint)
    site.folder.file.write_bytes(whole)
    assert site.verify(tar).accepted


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 255))
def test_every_changed_byte_is_damage(site: Site, at: int, by: int) -> None:
    raw = bytearray(site.folder.load().to_bytes())
    raw[at % len(raw)] ^= by
    with pytest.raises(DocumentError):
        TrustState.from_bytes(bytes(raw), "state.json")


def test_a_changed_sequence_with_a_right_checksum_is_still_damage(site: Site) -> None:
    """The number for people must be the one that was signed."""
    state = site.folder.load()
    lower = replace(state.channels["test"], sequence=3)
    with pytest.raises(DocumentError, match="a channel is not what its metadata says"):
        replace(state, channels={"test": lower}).to_bytes()


@pytest.mark.parametrize("fault", ["write", "sync", "move"])
def test_a_fault_while_writing_leaves_the_old_state(
    site: Site, tar: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = site.folder.file.read_bytes()
    later = datetime(2026, 7, 1, tzinfo=UTC)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if fault == "move":
            patch.setattr(Path, "replace", full)
        else:
            patch.setattr(os, "fsync" if fault == "sync" else "fchmod", full)
        with pytest.raises(TrustStateError, match="cannot be written: No space left on device"):
            site.verify(tar, now=later)
    assert site.folder.file.read_bytes() == before
    assert [path.name for path in site.folder.path.iterdir() if path.name.startswith(".state")] == []
    assert site.verify(tar, now=later).accepted


def test_the_journal_comes_first_and_survives_a_torn_line(site: Site, tar: Path) -> None:
    with site.folder.journal.open("ab") as file:
        file.write(b'{"at": "2026-')
    site.verify(tar)
    lines = site.folder.journal.read_bytes().splitlines()
    assert lines[-2] == b'{"at": "2026-'
    assert json.loads(lines[-1])["event"] == "accepted"
    assert [json.loads(line)["event"] for line in lines[:2]] == ["init", "accepted"]


def test_only_looking_leaves_the_state(site: Site, small_bundle: SmallBundle, producer: Producer) -> None:
    newer = small_bundle.with_manifest(sequence=8)
    tar = site.receive(carrying(newer, producer.metadata(newer), producer.release_keys[0]))
    before = site.folder.file.read_bytes()
    assert site.verify(tar, record=False).accepted
    assert site.folder.file.read_bytes() == before


def test_a_clock_that_ran_ahead_can_be_put_right_with_a_reason(site: Site, tar: Path) -> None:
    site.verify(tar, now=datetime(2090, 1, 1, tzinfo=UTC))
    assert "2090-01-01T00:00:00Z was seen" in str(describe(site.folder.load(), NOW)["warnings"])
    with pytest.raises(TrustStateError, match="the reason is empty"):
        set_clock(site.folder, " ", NOW)
    state = set_clock(site.folder, "battery changed", NOW)
    assert describe(state, NOW)["warnings"] == []
    assert '"reason": "battery changed"' in site.folder.journal.read_text()


def test_a_policy_that_can_never_be_met_is_refused(site: Site) -> None:
    with pytest.raises(DocumentError, match="1 site signatures cannot be given by 0 different keys"):
        set_policy(site.folder, SitePolicy(site_signatures=1), NOW)
    assert site.folder.load().policy == SitePolicy()


def test_the_first_bundle_sets_the_channel_unless_init_did(
    tmp_path: Path, producer: Producer, small_bundle: SmallBundle
) -> None:
    from routeiq_signing.errors import VerificationError

    site = Site(tmp_path)
    site.init(producer.root(), "stable")
    tar = site.receive(carrying(small_bundle, producer.metadata(small_bundle), producer.release_keys[0]))
    with pytest.raises(VerificationError, match="of channel test, this site takes stable"):
        site.verify(tar)
    set_policy(site.folder, SitePolicy(channels=("stable", "test")), NOW)
    assert site.verify(tar).accepted
