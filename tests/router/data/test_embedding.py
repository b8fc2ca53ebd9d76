import numpy as np

from routeiq_router.data.embedding import embed_prompts
from routeiq_signing.progress import QuietProgress


class Counting:
    def __init__(self, embedder):
        self._inner, self.calls = embedder, 0
        self.digest, self.dimension = embedder.digest, embedder.dimension

    def embed(self, prompt):
        self.calls += 1
        return self._inner.embed(prompt)


def test_vectors_are_kept_between_runs_and_each_prompt_is_embedded_once(embedder, tmp_path):
    first, second = Counting(embedder), Counting(embedder)
    made = embed_prompts(first, ["who", "is", "who"], cache=tmp_path / "c", progress=QuietProgress())
    again = embed_prompts(second, ["is", "who", "add"], cache=tmp_path / "c", progress=QuietProgress())
    assert (first.calls, second.calls) == (2, 1)
    assert np.array_equal(made.embeddings[[1, 0]], again.embeddings[:2])
    assert made.surface.shape[0] == 3


def test_a_damaged_cache_is_replaced(embedder, tmp_path):
    embed_prompts(embedder, ["who"], cache=tmp_path, progress=QuietProgress())
    (file,) = tmp_path.iterdir()
    for damage in (b"", file.read_bytes()[:40], b"\xff" * 100):
        file.write_bytes(damage)
        counting = Counting(embedder)
        embed_prompts(counting, ["who"], cache=tmp_path, progress=QuietProgress())
        assert counting.calls == 1
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
