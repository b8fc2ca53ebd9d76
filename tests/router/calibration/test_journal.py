"""The journal of answers: what survives a crash, what is continued, what is refused."""

import json

import pytest

from routeiq_router.calibration.journal import Journal, Run
from routeiq_router.errors import RouterError

RUN = Run("sha256:suite", 16, "http://gateway/v1", {"small": "small", "large": "qwen"})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "site.answers.jsonl"


@pytest.fixture
def written(path):
    journal = Journal(path, RUN, resume=False)
    journal.add("small", "a", right=True)
    journal.add("large", "a", right=False)
    journal.close()
    return path


def test_answers_are_there_again(written):
    journal = Journal(written, RUN, resume=True)
    assert journal.answers == {("small", "a"): True, ("large", "a"): False}
    journal.add("small", "b", right=False)
    journal.close()
    again = Journal(written, RUN, resume=True)
    again.close()
    assert len(again.answers) == 3


def test_a_line_cut_off_by_a_crash_is_dropped_and_written_anew(written):
    whole = written.read_bytes()
    for cut in range(len(whole) - len(whole.splitlines()[-1]), len(whole) - 1):
        written.write_bytes(whole[:cut])
        journal = Journal(written, RUN, resume=True)
        assert journal.answers == {("small", "a"): True}
        journal.add("large", "a", right=False)
        journal.close()
        assert written.read_bytes() == whole


def test_a_file_cut_off_in_its_first_line_begins_anew(written):
    whole = written.read_bytes()
    written.write_bytes(whole[:20])
    journal = Journal(written, RUN, resume=True)
    journal.close()
    assert journal.answers == {}
    assert written.read_bytes() == b"".join(whole.splitlines(keepends=True)[:3])


def test_two_runs_do_not_write_to_one_journal(written):
    first = Journal(written, RUN, resume=True)
    with pytest.raises(RouterError, match="another run writes to it"):
        Journal(written, RUN, resume=True)
    first.close()
    Journal(written, RUN, resume=True).close()


def test_an_earlier_run_is_not_continued_unasked(written):
    with pytest.raises(RouterError, match="answers of an earlier run"):
        Journal(written, RUN, resume=False)


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (Run("sha256:other", 16, RUN.url, RUN.asked), "its answers are for suite"),
        (Run(RUN.suite, 32, RUN.url, RUN.asked), "its answers are for max_tokens"),
        (Run(RUN.suite, 16, "http://other/v1", RUN.asked), "its answers are for url"),
        (Run(RUN.suite, 16, RUN.url, {"large": "llama"}), "large was asked as 'qwen', not as 'llama'"),
    ],
)
def test_answers_of_another_run_do_not_count(written, run, told):
    before = written.read_bytes()
    with pytest.raises(RouterError, match=told):
        Journal(written, run, resume=True)
    assert written.read_bytes() == before


def test_further_groups_may_join(written):
    run = Run(RUN.suite, 16, RUN.url, {"third": "third"})
    journal = Journal(written, run, resume=True)
    journal.add("third", "a", right=True)
    journal.close()
    back = Journal(written, RUN, resume=True)
    back.close()
    assert len(back.answers) == 3


@pytest.mark.parametrize(
    "line",
    [b"{}", b"[]", b"1", b"nonsense", b'{"group": "none", "id": "a", "right": true}',
     b'{"group": "small", "id": "a", "right": 1}', b'{"group": "small", "id": 3, "right": true}',
     b'{"group": "small", "id": "a", "right": true, "more": 1}', b"\xff"],
)  # fmt: skip
def test_a_line_that_is_no_answer_is_refused_with_its_number(written, line):
    lines = written.read_bytes().splitlines()
    written.write_bytes(b"\n".join([*lines[:4], line, lines[4]]) + b"\n")
    with pytest.raises(RouterError, match=":5"):
        Journal(written, RUN, resume=True)


def test_another_file_is_not_written_to(path):
    path.write_text(json.dumps({"schema": "something else"}) + "\n")
    with pytest.raises(RouterError, match="is no journal"):
        Journal(path, RUN, resume=True)
    assert path.read_text() == '{"schema": "something else"}\n'
