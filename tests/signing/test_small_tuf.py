"""The small judge of `verify.pyz` and python-tuf agree: on roots, on metadata, on what was accepted before (A8).

Both get the same bytes; what they say must be the same release, or a refusal of the same file at the same step.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.signing.conftest import NOW
from tests.signing.trust_parts import FAR
from tuf.api.metadata import Metadata

from routeiq_signing.errors import VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.strict_json import dumps, loads
from routeiq_signing.trust import rules
from routeiq_signing.trust.metadata import (
    RELEASE_FILES,
    Release,
    RootRole,
    Signers,
    TufFile,
    release_file,
    root_file,
    signed_bytes,
)
from routeiq_signing.trust.offered import Offered
from routeiq_signing.verify import small_tuf

KEYS = [PrivateKey.generate() for _ in range(4)]
PAST = "2026-05-01T00:00:00Z"
SHA = {7: "7" * 64, 8: "8" * 64, 9: "9" * 64}

some_keys = st.lists(st.sampled_from(range(4)), unique=True, max_size=4)
at_least_one = st.lists(st.sampled_from(range(4)), unique=True, min_size=1, max_size=3)
expiry = st.sampled_from([FAR, FAR, FAR, PAST])


def outcome(judge: Callable[..., Any], *arguments: object) -> object:
    try:
        said = judge(*arguments)
    except VerificationError as error:
        return (error.step, error.subject, error.hint)
    return root_file(said) if isinstance(said, RootRole) else said


def signed(file: TufFile, by: list[int]) -> bytes:
    for index in by:
        file = file.signed_by(KEYS[index])
    return file.to_bytes()


@st.composite
def roots(draw: st.DrawFn, version: int = 1) -> bytes:
    holders, release = draw(at_least_one), draw(at_least_one)
    role = RootRole(
        version,
        draw(expiry),
        Signers.of([KEYS[index].public for index in holders], draw(st.integers(1, len(holders)))),
        Signers.of([KEYS[index].public for index in release], draw(st.integers(1, len(release)))),
    )
    return signed(root_file(role), draw(st.one_of(st.just(holders), some_keys)))


@st.composite
def metadata(draw: st.DrawFn) -> tuple[dict[str, bytes], Release]:
    sequence = draw(st.sampled_from(list(SHA)))
    sha = draw(st.sampled_from([SHA[sequence], SHA[sequence], "a" * 64]))
    release = Release(sequence, draw(st.integers(0, 2)), FAR, sha, 100)
    by = draw(st.one_of(st.just([0, 1, 2, 3]), some_keys))
    files = {}
    for name in RELEASE_FILES:
        said = Release(release.sequence, release.renewal, draw(expiry), release.sha256, release.length)
        files[name] = signed(release_file(name, said), draw(st.one_of(st.just(by), some_keys)))
    return files, release


@settings(max_examples=60, deadline=None)
@given(roots(), roots(2), st.booleans(), st.integers(1, 3))
def test_both_judges_agree_on_roots(current: bytes, new: bytes, both_signed: bool, version: int) -> None:
    assert outcome(rules.accept_first_root, current, "1") == outcome(
        small_tuf.accept_first_root, current, "1"
    )
    if both_signed:
        _, old = rules.strict_root(current, "1")
        file, _ = rules.strict_root(new, "2")
        everybody = [index for index, key in enumerate(KEYS) if key.public.keyid in old.root.keys]
        new = signed(file, everybody)
    if version != 2:
        _, role = rules.strict_root(new, "2")
        new = signed(root_file(RootRole(version, role.expires, role.root, role.release)), [0, 1, 2, 3])
    arguments = (current, new, "2")
    assert outcome(rules.accept_next_root, *arguments) == outcome(small_tuf.accept_next_root, *arguments)


@settings(max_examples=100, deadline=None)
@given(roots(), st.one_of(st.none(), metadata()), metadata(), st.sampled_from([7, 8, 9]), st.booleans())
def test_both_judges_agree_on_releases(
    root: bytes,
    before: tuple[dict[str, bytes], Release] | None,
    now: tuple[dict[str, bytes], Release],
    sequence: int,
    right: bool,
) -> None:
    files, release = now
    offered = Offered(files, release.sequence if right else sequence, SHA[release.sequence], 100)
    held = before[0] if before else None
    for judge in ("judge", "recall"):
        arguments = (root, held, offered, NOW) if judge == "judge" else (root, files)
        ours = outcome(getattr(small_tuf, judge), *arguments)
        assert outcome(getattr(rules, judge), *arguments) == ours


plain = st.recursive(
    st.one_of(st.text(), st.integers(-(2**53) + 1, 2**53 - 1), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text('abcXYZ"\\_-.', min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(plain)
@example({"pem": '-----BEGIN\n\\ " \u007f é 漢 🙂 \x00'})
def test_what_is_signed_is_spelled_as_securesystemslib_spells_it(value: object) -> None:
    from securesystemslib.formats import encode_canonical

    try:
        expected = encode_canonical(value).encode("utf-8")
    except UnicodeEncodeError:
        assume(False)
    assert signed_bytes(value) == expected


def test_python_tuf_signs_the_same_bytes() -> None:
    role = RootRole(1, FAR, Signers.of([KEYS[0].public], 1), Signers.of([KEYS[1].public], 1))
    release = Release(7, 1, FAR, "a" * 64, 100)
    for file in (root_file(role), *(release_file(name, release) for name in RELEASE_FILES)):
        raw = file.signed_by(KEYS[0]).to_bytes()
        assert Metadata[Any].from_bytes(raw).signed_bytes == file.signed_bytes


def test_a_released_second_is_past() -> None:
    """Expiry is reached at its second, in both."""
    role = RootRole(1, FAR, Signers.of([KEYS[0].public], 1), Signers.of([KEYS[1].public], 1))
    root = signed(root_file(role), [0])
    said = Release(7, 0, "2026-06-01T00:00:00Z", SHA[7], 100)
    files = {name: signed(release_file(name, said), [1]) for name in RELEASE_FILES}
    offered = Offered(files, 7, SHA[7], 100)
    for now, accepted in ((datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC), True), (NOW, False)):
        ours, theirs = (outcome(module.judge, root, None, offered, now) for module in (small_tuf, rules))
        assert ours == theirs
        assert isinstance(ours, Release) is accepted


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_changed_byte_of_metadata_gets_the_same_verdict(data: st.DataObject) -> None:
    """python-tuf's own parser is lenient; the one form is checked before either judge sees it."""
    role = RootRole(1, FAR, Signers.of([KEYS[0].public], 1), Signers.of([KEYS[1].public], 1))
    root = signed(root_file(role), [0])
    said = Release(7, 0, FAR, SHA[7], 100)
    files = {name: signed(release_file(name, said), [1]) for name in RELEASE_FILES}
    name = data.draw(st.sampled_from(RELEASE_FILES))
    at = data.draw(st.integers(0, len(files[name]) - 1))
    changed = bytearray(files[name])
    changed[at] ^= data.draw(st.integers(1, 255))
    offered = Offered({**files, name: bytes(changed)}, 7, SHA[7], 100)
    ours, theirs = (outcome(module.judge, root, None, offered, NOW) for module in (small_tuf, rules))
    assert ours == theirs
    assert not isinstance(ours, Release)


def test_keys_in_any_order_are_one_spelling() -> None:
    role = RootRole(1, FAR, Signers.of([key.public for key in KEYS], 2), Signers.of([KEYS[1].public], 1))
    raw = signed(root_file(role), [0, 1])
    assert dumps(loads(raw, "root", limit=10**6)) == raw
    again = RootRole(1, FAR, Signers.of([key.public for key in KEYS[::-1]], 2), role.release)
    assert signed(root_file(again), [1, 0]) == raw
