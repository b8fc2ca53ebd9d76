from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routeiq_router.embedder import END_CHARS, MAX_TOKENS, Embedder, embedder_digest, keep_ends
from routeiq_router.errors import RouterError


class Counting:
    """An encoder that counts its calls and shows what it was given."""

    def __init__(self):
        self.calls: list[list[int]] = []

    def encode(self, token_ids):
        self.calls.append(token_ids)
        return np.asarray([float(len(token_ids)), 0.0], dtype=np.float32)


@pytest.fixture
def counting(embedder) -> tuple[Embedder, Counting]:
    encoder = Counting()
    made = Embedder(embedder._tokenizer, encoder, digest="sha256:0", cache_size=2)
    encoder.calls.clear()
    return made, encoder


@given(st.lists(st.integers(), max_size=600), st.integers(2, 300))
def test_keep_ends_keeps_both_ends_in_order(ids, limit):
    kept = keep_ends(ids, limit)
    assert len(kept) == min(len(ids), limit)
    assert kept[: limit // 2] == ids[: limit // 2]
    if len(ids) > limit:
        assert kept[limit // 2 :] == ids[-(limit - limit // 2) :]


def test_a_prompt_is_neither_padded_nor_cut_by_the_tokenizers_own_settings(embedder):
    assert embedder.token_ids("who is that") == [1, 18, 19, 12, 2]
    assert len(embedder.token_ids("who " * 100)) == 102


def test_a_long_prompt_keeps_its_ends_and_special_tokens(embedder):
    ids = embedder.token_ids("add " + "who " * 5000 + "plus")
    assert len(ids) == MAX_TOKENS
    assert (ids[:2], ids[-2:]) == ([1, 4], [8, 2])


def test_of_a_very_long_prompt_only_the_ends_are_made_into_tokens(embedder):
    middle = "is " * 50_000
    ends = "add " * 300, "plus " * 300
    assert embedder.token_ids(ends[0] + middle + ends[1]) == embedder.token_ids(ends[0] + "the " + ends[1])
    # Where the ends' characters make few tokens, those between them fill up.
    blank = " " * (END_CHARS - 4)
    ids = embedder.token_ids("add " + blank + middle + blank + "plus")
    assert ids == embedder.token_ids("add plus")


def test_a_prompt_is_embedded_once_while_it_is_remembered(counting):
    embedder, encoder = counting
    for prompt in ("who", "who", "is", "who", "that", "is"):
        embedder.embed(prompt)
    # "is" was the one least recently used when "that" came.
    assert len(encoder.calls) == 4


def test_a_remembered_vector_cannot_be_changed(embedder):
    with pytest.raises(ValueError, match="read-only"):
        embedder.embed("who")[0] = 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_any_text_is_embedded(embedder, text):
    assert embedder.embed(text).shape == (8,)


def test_a_megabyte_and_binary_are_embedded(embedder):
    for prompt in (
        "a" * 1_000_000,
        "who " * 250_000,
        bytes(range(256)).decode("latin-1") * 100,
        "",
        "\ud800",
    ):
        assert np.isfinite(embedder.embed(prompt)).all()


def test_threads_share_an_embedder(embedder):
    prompts = [f"who is {word}" for word in ("add", "city", "code", "list")] * 25
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(embedder.embed, prompts))
    for prompt, vector in zip(prompts, together, strict=True):
        assert np.array_equal(vector, embedder.embed(prompt))


def test_the_digest_covers_model_and_tokenizer_and_nothing_else(embedder_files):
    digest = embedder_digest(embedder_files)
    assert digest == embedder_digest({**embedder_files, "config.json": b"{}"})
    for name in embedder_files:
        assert digest != embedder_digest({**embedder_files, name: embedder_files[name] + b" "})


def test_a_missing_file_is_named(embedder_files):
    with pytest.raises(RouterError, match=r"^tokenizer\.json: missing from the embedder"):
        Embedder.load({"onnx/model_int8.onnx": embedder_files["onnx/model_int8.onnx"]})


@pytest.mark.parametrize("data", [b"", b"{}", b"\x80\x04", b'{"version": "9"}'])
def test_a_bad_tokenizer_is_refused(embedder_files, data):
    with pytest.raises(RouterError, match=r"^tokenizer\.json: not a tokenizer"):
        Embedder.load({**embedder_files, "tokenizer.json": data})
