import gzip
import hashlib
import json

import numpy as np
import pytest

from routeiq_router.data.dataset import read_data
from routeiq_router.errors import RouterError
from routeiq_router.limits import Limits

ROW = {"id": "1", "prompt": "p", "scores": {"a": 1, "b": 0.25}}


def write(path, *rows) -> object:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_plain_and_gzip_are_told_by_content_not_by_name(tmp_path):
    plain = write(tmp_path / "a.jsonl.gz", ROW)
    packed = tmp_path / "b.jsonl"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    first, second = (read_data([path], scored=True) for path in (plain, packed))
    assert (
        (first.ids, first.prompts, first.models)
        == (second.ids, second.prompts, second.models)
        == (["1"], ["p"], ("a", "b"))
    )
    assert first.sources[0].sha256 == hashlib.sha256(plain.read_bytes()).hexdigest()
    assert second.sources[0].name == "b.jsonl"


def test_absent_and_null_scores_are_missing_and_zero_is_zero(tmp_path):
    one = write(tmp_path / "1", {"id": 1, "prompt": "p", "scores": {"a": 0}})
    two = write(tmp_path / "2", {"id": 2, "prompt": "q", "scores": {"b": 1, "a": None}}, "")
    data = read_data([one, two], scored=True)
    np.testing.assert_array_equal(data.scores, [[0, np.nan], [np.nan, 1]])
    np.testing.assert_array_equal(data.scores_for(["c", "b"]), [[np.nan, np.nan], [np.nan, 1]])
    assert [source.rows for source in data.sources] == [1, 1]


def test_to_predict_only_id_and_prompt_are_needed(tmp_path):
    data = read_data(
        [write(tmp_path / "d", {"id": "1", "prompt": "p"}, {"id": "2", "prompt": "", "scores": 7})],
        scored=False,
    )
    assert data.ids == ["1", "2"]
    assert data.models == ()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a JSON object"),
        ({"prompt": "p", "scores": {"a": 1}}, "'id' is not a text"),
        ({"id": True, "prompt": "p", "scores": {"a": 1}}, "'id' is not a text"),
        ({"id": "1", "scores": {"a": 1}}, "'prompt' is not a text"),
        ({"id": "1", "prompt": "p"}, "'scores' names no model"),
        ({"id": "1", "prompt": "p", "scores": {}}, "'scores' names no model"),
        ({"id": "1", "prompt": "p", "scores": {"a": 1.5}}, "score of 'a' is 1.5, want 0..1"),
        ({"id": "1", "prompt": "p", "scores": {"a": True}}, "score of 'a' is True"),
        ({"id": "1", "prompt": "p", "scores": {"a\ud800": 1}}, "is no name of a model"),
        ({"id": "1", "prompt": "p", "scores": {"a": "1"}}, "score of 'a' is '1'"),
        ('{"id": "1", "prompt": "p", "scores": {"a": NaN}}', "NaN is not a JSON number"),
    ],
)
def test_a_bad_row_is_refused_with_file_and_line(tmp_path, row, message):
    path = write(tmp_path / "data.jsonl", ROW, row)
    with pytest.raises(RouterError, match=rf"data\.jsonl:2: .*{message}"):
        read_data([path], scored=True)


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(RouterError, match="data: no rows"):
        read_data([write(tmp_path / "data", "", "")], scored=True)


@pytest.mark.parametrize("cut", [20, 40])
def test_a_truncated_gzip_is_refused(tmp_path, cut):
    path = tmp_path / "data"
    path.write_bytes(gzip.compress((json.dumps(ROW) + "\n").encode() * 50)[:cut])
    with pytest.raises(RouterError, match=r"data:\d+: damaged gzip"):
        read_data([path], scored=True)


def test_a_gzip_bomb_and_an_endless_line_are_refused(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(gzip.compress(b"\n" * 2_000_000))
    with pytest.raises(RouterError, match="too large"):
        read_data([path], scored=True, limits=Limits(data_bytes=100_000))
    path.write_bytes(gzip.compress(b" " * 2_000_000))
    with pytest.raises(RouterError, match="data:1: too large"):
        read_data([path], scored=True, limits=Limits(data_line_bytes=100_000))


def test_too_many_rows_are_refused(tmp_path):
    with pytest.raises(RouterError, match="more than 2 rows"):
        read_data([write(tmp_path / "d", ROW, ROW, ROW)], scored=True, limits=Limits(data_rows=2))


def test_one_id_and_prompt_in_several_files_is_one_row(tmp_path):
    one = write(tmp_path / "1", {"id": 1, "prompt": "p", "scores": {"a": 0}, "task": "maths"})
    two = write(
        tmp_path / "2",
        {"id": 1, "prompt": "p", "scores": {"b": 1}},
        {"id": 1, "prompt": "q", "scores": {"b": 0}},
    )
    data = read_data([one, two], scored=True)
    assert (data.prompts, data.tasks) == (["p", "q"], ("maths", ""))
    np.testing.assert_array_equal(data.scores, [[0, 1], [np.nan, 0]])


def test_two_scores_of_one_model_for_one_id_are_refused_with_both_lines(tmp_path):
    path = write(tmp_path / "d", ROW, {**ROW, "scores": {"c": 1}}, {**ROW, "scores": {"a": 0.5}})
    with pytest.raises(RouterError, match=r"d:3: id '1' again, and 'a' now scores 0\.5; .*d:1 says 1"):
        read_data([path], scored=True)


def test_a_task_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(RouterError, match="d:1: 'task' is not a text"):
        read_data([write(tmp_path / "d", {**ROW, "task": 7})], scored=True)
