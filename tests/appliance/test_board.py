"""What a worker counts and measures of its deployments (D2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.routing.board import Board


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def board(clock: _Clock) -> Board:
    return Board(clock=clock)


def _answered(board: Board, name: str, seconds: float, completion: int, prompt: int = 0) -> None:
    board.begin(name)
    board.end(name, seconds=seconds, tokens=prompt + completion, completion_tokens=completion, failed=False)


def test_calls_under_way_are_counted_until_they_end(board: Board) -> None:
    board.begin("a")
    board.begin("a")
    assert (board.running("a"), board.running("b")) == (2, 0)
    board.end("a", seconds=1, tokens=5, completion_tokens=2, failed=False)
    board.end("a", seconds=1, tokens=0, completion_tokens=0, failed=True)
    assert board.running("a") == 0


def test_requests_and_tokens_are_those_of_the_minute(board: Board, clock: _Clock) -> None:
    _answered(board, "a", 1.0, completion=10, prompt=20)
    clock.now += 59.9
    board.begin("a")
    assert (board.numbers("a").requests, board.numbers("a").tokens) == (2, 30)
    clock.now += 0.1
    assert (board.numbers("a").requests, board.numbers("a").tokens) == (0, 0)
    assert board.running("a") == 1


def test_what_is_under_way_is_expected_to_use_what_calls_used(board: Board) -> None:
    board.begin("a")
    assert board.numbers("a").expected_tokens == 0
    board.end("a", seconds=1, tokens=100, completion_tokens=10, failed=False)
    board.begin("a")
    board.begin("a")
    assert board.numbers("a").expected_tokens == 300


def test_a_long_answer_is_not_a_slow_deployment(board: Board, clock: _Clock) -> None:
    for _ in range(5):
        _answered(board, "long", 10.0, completion=999)
        _answered(board, "short", 0.5, completion=9)
    long, short = (board.numbers(name).latency(clock.now) for name in ("long", "short"))
    assert long == pytest.approx(0.01)
    assert short == pytest.approx(0.05)


def test_one_short_answer_hardly_moves_the_mean(board: Board, clock: _Clock) -> None:
    for _ in range(20):
        _answered(board, "a", 10.0, completion=999)
    _answered(board, "a", 0.5, completion=0)  # half a second a unit: fifty times the mean
    assert board.numbers("a").latency(clock.now) == pytest.approx(0.01, rel=0.05)


def test_calls_without_tokens_compare_by_their_time(board: Board, clock: _Clock) -> None:
    _answered(board, "a", 0.25, completion=0)
    assert board.numbers("a").latency(clock.now) == 0.25


def test_the_newest_calls_weigh_most(board: Board, clock: _Clock) -> None:
    for _ in range(30):
        _answered(board, "a", 1.0, completion=0)
    for _ in range(15):
        _answered(board, "a", 3.0, completion=0)
    assert board.numbers("a").latency(clock.now) == pytest.approx(3.0, rel=0.05)


def test_a_quick_refusal_does_not_look_fast(board: Board, clock: _Clock) -> None:
    _answered(board, "a", 1.0, completion=0)
    board.begin("a")
    board.end("a", seconds=0.001, tokens=0, completion_tokens=0, failed=True)
    assert board.numbers("a").latency(clock.now) == 1.0


def test_what_failed_before_it_was_measured_is_unknown_for_a_minute(board: Board, clock: _Clock) -> None:
    assert board.numbers("a").latency(clock.now) is None
    board.begin("a")
    board.end("a", seconds=0.1, tokens=0, completion_tokens=0, failed=True)
    assert board.numbers("a").latency(clock.now) == float("inf")
    clock.now += 60
    assert board.numbers("a").latency(clock.now) is None


def test_an_old_measurement_says_nothing_and_the_next_starts_anew(board: Board, clock: _Clock) -> None:
    _answered(board, "a", 9.0, completion=0)
    clock.now += 601
    assert board.numbers("a").latency(clock.now) is None
    _answered(board, "a", 1.0, completion=0)
    assert board.numbers("a").latency(clock.now) == 1.0


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 50)), max_size=60))
def test_running_is_begun_minus_ended_whatever_the_order(steps: list[tuple[str, bool, int]]) -> None:
    board, running, tokens = Board(clock=lambda: 5.0), {"a": 0, "b": 0}, {"a": 0, "b": 0}
    for name, begins, used in steps:
        if begins or not running[name]:
            board.begin(name)
            running[name] += 1
        else:
            board.end(name, seconds=1, tokens=used, completion_tokens=used, failed=used % 2 == 0)
            running[name] -= 1
            tokens[name] += used
    assert {name: board.running(name) for name in running} == running
    assert {name: board.numbers(name).tokens for name in tokens} == tokens
