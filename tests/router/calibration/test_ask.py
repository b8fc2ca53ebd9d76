"""Asking a deployment that fails in every way: what is tried again, is missing, is wrong, or ends the run."""

import pytest

from routeiq_appliance.cli.calibrate_ask import Asker, Failure, Reply
from routeiq_signing.errors import RouteIQError

KEY = "sk-of-the-tests"


@pytest.fixture
def waits():
    return []


@pytest.fixture
def asker(server, waits):
    made = Asker(server.url, KEY, 16, 20.0, sleep=waits.append)
    yield made
    made.close()


def test_an_answer_at_temperature_zero_with_the_limit(server, asker, waits):
    server.right["2 + 2?"] = "4"
    assert asker.ask("good", "2 + 2?") == Reply("4")
    assert server.bodies == [
        {
            "model": "good",
            "messages": [{"role": "user", "content": "2 + 2?"}],
            "temperature": 0,
            "max_tokens": 16,
        }
    ]
    assert waits == []


def test_429_waits_as_long_as_it_is_told(server, asker, waits):
    assert asker.ask("busy", "?") == Reply("?")
    assert waits == [7.0]


def test_5xx_is_tried_again_and_then_missing(server, asker, waits):
    found = asker.ask("broken", "?")
    assert found == Failure("500 out of [2Jorder", again=True)  # no escape sequence reaches a terminal
    assert server.asked["broken"] == 4
    assert waits == [0.5, 2.0, 8.0]


def test_an_answer_that_never_comes_is_missing(server, waits):
    asker = Asker(server.url, KEY, 16, 0.05, sleep=waits.append)
    found = asker.ask("hanging", "?")
    asker.close()
    assert isinstance(found, Failure)
    assert found.reason.startswith("no answer within 0.05 s")


def test_an_answer_that_drips_is_cut_off_by_the_clock(server):
    ticks = iter(range(0, 10_000, 100))
    asker = Asker(server.url, KEY, 16, 50.0, sleep=lambda _: None, clock=lambda: float(next(ticks)))
    found = asker.ask("good", "?")
    asker.close()
    assert found == Failure("no whole answer within 50 s", again=True)


@pytest.mark.parametrize(
    ("model", "told", "asked"),
    [
        ("unknown", "404 no such model", 1),
        ("moved", "302", 1),
        ("fallen-back", "answered by 'another', its fallback", 1),
        ("nonsense", "its answer is not a chat completion's", 4),
    ],
)
def test_what_says_nothing_about_the_model_is_missing(server, asker, model, told, asked):
    found = asker.ask(model, "?")
    assert isinstance(found, Failure)
    assert found.reason == told
    assert server.asked[model] == asked


@pytest.mark.parametrize("model", ["empty", "endless"])
def test_nothing_said_or_far_too_much_is_an_answer_without_content(asker, model):
    assert asker.ask(model, "?") == Reply("")


def test_a_refused_key_ends_everything(server, waits):
    asker = Asker(server.url, "sk-wrong", 16, 20.0, sleep=waits.append)
    with pytest.raises(RouteIQError, match="401 no such key") as caught:
        asker.ask("good", "?")
    asker.close()
    assert "sk-wrong" not in str(caught.value)
    assert waits == []


def test_nobody_there_is_missing(waits):
    asker = Asker("http://127.0.0.1:9/v1", None, 16, 5.0, sleep=waits.append)
    assert isinstance(asker.ask("good", "?"), Failure)
    asker.close()


@pytest.mark.parametrize(
    "url", ["ftp://x", "gateway:4000", "http://", "", "http://user:secret@host", "http://[::1"]
)
def test_what_is_no_address_is_refused_without_its_secrets(url):
    with pytest.raises(RouteIQError, match="--url") as caught:
        Asker(url, None, 16, 5.0)
    assert "secret" not in str(caught.value)
