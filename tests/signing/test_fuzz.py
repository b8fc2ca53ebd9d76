"""Whatever is done to a bundle's bytes, it is refused by an error of ours; nothing crashes (A8).

5,040 seeded mutations by default, in four shards that pytest-xdist spreads; `ROUTEIQ_FUZZ=N` makes it N, for a night:

    ROUTEIQ_FUZZ=1000000 pytest tests/signing/test_fuzz.py -n 2

`ROUTEIQ_FUZZ_SEED` moves on to other mutations; a failure names the seed that repeats it alone. Most are judged by one
key, every fifth by a site's root; every 120th by `verify.pyz` too, every 150th by the command itself.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signing.conftest import NOW, make_bundle, sha256
from tests.signing.mutations import MUTATIONS, Member, members_of, mutated
from tests.signing.pyz_twin import Verdict, twin
from tests.signing.trust_parts import Producer, Site, carrying

from routeiq_appliance.cli.main import main
from routeiq_signing.bundle_file import pinned
from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.keys import PrivateKey, PublicKey
from routeiq_signing.manifest import Attachments, BundleManifest
from routeiq_signing.progress import QuietProgress
from routeiq_signing.sigstore_bundle import message_bundle
from routeiq_signing.strict_json import dumps, loads
from routeiq_signing.tar_format import BLOCK, end_padding, header, padding
from routeiq_signing.trust.document import TrustState
from routeiq_signing.trust.site import SiteTrust
from routeiq_signing.verify.bundle import verify_bundle
from routeiq_signing.verify.order import member_order, signature_name, sums_text

CASES = int(os.environ.get("ROUTEIQ_FUZZ", "5040"))
SEED = int(os.environ.get("ROUTEIQ_FUZZ_SEED", "0"))
SHARDS = 4


@dataclass(frozen=True)
class Target:
    """A bundle that is accepted as it is, by its key and by a site's root."""

    tar: bytes
    members: list[Member]
    signer: PrivateKey
    state: TrustState
    key_file: Path
    trust: Path

    @property
    def key(self) -> PublicKey:
        return self.signer.public

    def judge(self, tar: bytes, seed: int) -> str:
        """Return the digest of what was accepted; raises what verification raises."""
        key = pinned(self.key) if seed % 5 else SiteTrust(self.state, NOW)
        report = verify_bundle(io.BytesIO(tar), key=key, now=NOW, progress=QuietProgress()).report
        return report.digest

    def options(self, seed: int) -> list[str]:
        """Return the same choice for `verify.pyz`."""
        return ["--key", str(self.key_file)] if seed % 5 else ["--root", str(self.trust)]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("fuzz")
    producer, site = Producer(), Site(folder)
    release = producer.release_keys[0]
    plain = make_bundle(release, layer=bytes(range(256)) * 8, program=b"#!/usr/bin/env python3\n")
    tar = site.receive(carrying(plain, producer.metadata(plain), release))
    state = site.init(producer.root())
    key_file = folder / "key.pem"
    key_file.write_bytes(release.public.pem)
    raw = tar.read_bytes()
    return Target(raw, members_of(raw), release, state, key_file, site.folder.path)


def test_the_bundle_is_good_before_it_is_spoiled(target: Target) -> None:
    assert target.judge(target.tar, 0) == target.judge(target.tar, 1)
    assert len(target.tar) < 60_000


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_mutation_is_refused_and_none_crashes(shard: int, target: Target, tmp_path: Path) -> None:
    refused: Counter[str] = Counter()
    for seed in range(SEED + shard, SEED + CASES, SHARDS):
        name, tar = mutated(target.tar, target.members, seed)
        refusal = refused_by(target, tar, seed, name)
        refused[name] += 1
        if seed % 120 < SHARDS // 2:
            path = tmp_path / "spoiled.tar"
            path.write_bytes(tar)
            assert twin().verdict(path, *target.options(seed), now=NOW) == refusal, f"seed {seed}: {name}"
    assert sum(refused.values()) == len(range(SEED + shard, SEED + CASES, SHARDS))
    assert CASES < 5000 or set(refused) == set(MUTATIONS)


def refused_by(target: Target, tar: bytes, seed: int, name: str) -> Verdict:
    try:
        digest = target.judge(tar, seed)
    except VerificationError as error:
        return Verdict.refused(error)
    except Exception as error:  # noqa: BLE001  any other error is the failure looked for
        pytest.fail(f"seed {seed} ({name}) crashed: {error!r}")
    pytest.fail(f"seed {seed} ({name}) was accepted as {digest}")


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_command_refuses_without_a_traceback(shard: int, target: Target, tmp_path: Path) -> None:
    path = tmp_path / "spoiled.tar"
    for seed in range(SEED + shard * 150, SEED + CASES, 150 * SHARDS):
        name, tar = mutated(target.tar, target.members, seed)
        path.write_bytes(tar)
        result = CliRunner().invoke(main, ["bundle", "verify", str(path), "--key", str(target.key_file)])
        assert (result.exit_code, result.stdout) == (1, ""), f"seed {seed}: {name}"
        assert isinstance(result.exception, SystemExit), f"seed {seed}: {name}: {result.exception!r}"
        assert "error: " in result.stderr, f"seed {seed}: {name}"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_bytes_in_any_place_are_refused(data: st.DataObject, target: Target) -> None:
    """Hypothesis' own search, which shrinks what it finds."""
    start = data.draw(st.integers(0, len(target.tar)))
    end = data.draw(st.integers(start, min(len(target.tar), start + 2000)))
    spoiled = target.tar[:start] + data.draw(st.binary(max_size=600)) + target.tar[end:]
    if spoiled != target.tar:
        with pytest.raises(VerificationError):
            target.judge(spoiled, data.draw(st.integers(0, 1)))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text("ab_"), inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_documents_of_any_shape_under_a_right_signature_do_not_crash(
    data: st.DataObject, target: Target
) -> None:
    """Who holds the key may sign nonsense: it is refused, or means what it says, without a traceback."""
    contents = {
        member: target.tar[at.offset + BLOCK : at.offset + BLOCK + at.size]
        for member, at in zip(names_of(target), target.members, strict=True)
    }
    name = data.draw(st.sampled_from(["bundle.json", "attachments.json"]))
    document: Any = loads(contents[name], name, limit=1 << 20)
    change_somewhere(document, data)
    tar = signed_tar({**contents, name: dumps(document)}, target.signer)
    with suppress(VerificationError):  # no other error, not even another of ours
        verify_bundle(io.BytesIO(tar), key=pinned(target.key), now=NOW, progress=QuietProgress())


def names_of(target: Target) -> list[str]:
    return [target.tar[m.offset : m.offset + 100].rstrip(b"\0").decode() for m in target.members]


def change_somewhere(node: Any, data: st.DataObject) -> None:
    """Put another value in one place of a document, however deep."""
    while True:
        place = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else list(range(len(node)))))
        if not node[place] or not isinstance(node[place], dict | list) or data.draw(st.booleans()):
            node[place] = data.draw(st.one_of(JSON, st.sampled_from([node[place], [node[place]] * 2])))
            return
        node = node[place]


def signed_tar(contents: dict[str, bytes], key: PrivateKey) -> bytes:
    """A bundle of `contents`, its head signed anew: what the documents say is the signer's own doing."""
    members = {name: raw for name, raw in contents.items() if not is_signature_member(name)}
    try:
        said = Attachments.from_bytes(members["attachments.json"])
        manifest = BundleManifest.from_bytes(members["bundle.json"])
        said = replace(said, bundle=f"sha256:{sha256(members['bundle.json'])}")
        members["attachments.json"] = said.to_bytes()
        members["SHA256SUMS"] = sums_text(members["bundle.json"], manifest, members["attachments.json"], said)
    except DocumentError:
        pass
    for name in ("bundle.json", "attachments.json"):
        bundle = message_bundle(key.public.keyid, members[name], key.sign(members[name]))
        members[signature_name(name, key.public.keyid)] = bundle
    members["SHA256SUMS.sig"] = key.sign(members["SHA256SUMS"])
    tar = b""
    for name in member_order(members):
        tar += header(name, len(members[name])) + members[name] + bytes(padding(len(members[name])))
    return tar + bytes(end_padding(len(tar)))


def is_signature_member(name: str) -> bool:
    return name.endswith(".sigstore.json") or name == "SHA256SUMS.sig"
