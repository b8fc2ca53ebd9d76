"""Rows of stored models: encrypted, bound to their row, counted by a generation that changes with any of them (H11)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.errors import StateError
from routeiq_appliance.state.access import TakenError
from routeiq_appliance.state.models import ModelRecord, ModelStore
from routeiq_appliance.state.tables import models
from routeiq_appliance.state.vault import Vault

NOW = datetime(2026, 11, 21, 8, 0, 0, 5, tzinfo=UTC)
VAULT = Vault(b"v" * 32)
PARAMS = {"model": "openai/m", "api_key": "sk-credential", "extra_body": {"ü": [1, None, 1e-7]}}
RECORD = ModelRecord("m1", "group", PARAMS, {"mode": "chat", "note": "ü"}, NOW, "master", NOW)


def test_a_row_comes_back_as_it_was_and_its_parameters_are_not_readable(engine: sa.Engine) -> None:
    store = ModelStore(engine, VAULT)
    assert store.create(RECORD)
    assert store.get("m1") == RECORD
    assert store.read()[1] == [RECORD]
    assert store.get("m2") is None
    with engine.connect() as connection:
        raw = bytes(connection.execute(sa.select(models.c.params)).scalar_one())
    assert b"sk-credential" not in raw
    assert b"openai" not in raw


def test_the_generation_changes_with_every_change_and_not_otherwise(engine: sa.Engine) -> None:
    store = ModelStore(engine, VAULT)
    seen = [store.generation()]
    store.create(RECORD)
    seen.append(store.generation())
    # A clock that stands still, or goes back, must not hide a change.
    early = replace(RECORD, name="other", updated_at=NOW - timedelta(hours=1))
    written = store.update(early, expected=NOW)
    assert written is not None
    assert written.updated_at > NOW
    seen.append(store.generation())
    store.create(replace(RECORD, id="M1"))
    store.create(replace(RECORD, id="_"))
    seen.append(store.generation())
    assert len(set(seen)) == 4
    assert store.generation() == store.read()[0] == seen[-1]
    for identity in ("M1", "_", "m1"):
        assert store.delete(identity)
    assert not store.delete("m1")
    assert store.generation() == seen[0]


def test_a_change_of_what_was_changed_meanwhile_is_not_written(engine: sa.Engine) -> None:
    store = ModelStore(engine, VAULT)
    store.create(RECORD)
    assert store.update(replace(RECORD, name="first"), expected=NOW) is not None
    assert store.update(replace(RECORD, name="second"), expected=NOW) is None
    found = store.get("m1")
    assert found is not None
    assert found.name == "first"
    assert store.update(replace(RECORD, id="gone"), expected=NOW) is None


def test_an_id_is_taken_once(engine: sa.Engine) -> None:
    store = ModelStore(engine, VAULT)
    store.create(RECORD)
    with pytest.raises(TakenError, match=r"model_info\.id: 'm1' is taken"):
        store.create(RECORD)


def test_a_full_store_takes_no_more(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routeiq_appliance.state.models.MAX_MODELS", 1)
    store = ModelStore(engine, VAULT)
    assert store.create(RECORD)
    assert not store.create(replace(RECORD, id="m2"))


@pytest.mark.parametrize("vault", [Vault(b"w" * 32), None], ids=["another key", "no key"])
def test_rows_do_not_open_with_another_key_or_none(engine: sa.Engine, vault: Vault | None) -> None:
    ModelStore(engine, VAULT).create(RECORD)
    store = ModelStore(engine, vault)
    assert store.has_key is (vault is not None)
    with pytest.raises(StateError, match="ROUTEIQ_STORE_KEY") as caught:
        store.read()
    assert "sk-credential" not in str(caught.value)
    assert store.generation(), "whether anything changed is known without a key"


def test_sealed_parameters_do_not_open_in_another_row(engine: sa.Engine) -> None:
    store = ModelStore(engine, VAULT)
    store.create(RECORD)
    store.create(replace(RECORD, id="m2"))
    with engine.begin() as connection:
        stolen = connection.execute(sa.select(models.c.params).where(models.c.id == "m1")).scalar_one()
        connection.execute(models.update().where(models.c.id == "m2").values(params=stolen))
    with pytest.raises(StateError, match="row 'm2' does not open"):
        store.get("m2")


@given(
    plain=st.binary(max_size=200),
    owner=st.text(max_size=40),
    at=st.integers(0, 10_000),
    bit=st.integers(0, 7),
)
def test_what_is_sealed_opens_whole_or_not_at_all(plain: bytes, owner: str, at: int, bit: int) -> None:
    owner = owner.encode("utf-8", "replace").decode()
    sealed = VAULT.seal(plain, owner)
    assert VAULT.open(sealed, owner) == plain
    assert VAULT.seal(plain, owner) != sealed, "each has a nonce of its own"
    broken = bytearray(sealed)
    broken[at % len(sealed)] ^= 1 << bit
    for bad, whose in ((bytes(broken), owner), (sealed, f"{owner}x"), (sealed[:-1], owner), (b"", owner)):
        with pytest.raises(StateError, match="does not open"):
            VAULT.open(bad, whose)
