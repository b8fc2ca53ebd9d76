"""What workers tell each other, without Redis: snapshots and notices in any order, and nonsense (H1, H4)."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.state.shared.interface import Notice
from routeiq_appliance.state.shared.news import News

NOW = 1_790_000_000


class Line:
    """The parts of `Wire` that `News` uses; `answer` answers the oldest command."""

    def __init__(self) -> None:
        self.commands: list[tuple[Any, ...]] = []
        self._waiting: deque[Callable[[Any], None]] = deque()

    def send(self, command: Sequence[Any], on_reply: Callable[[Any], None]) -> None:
        self.commands.append(tuple(command))
        self._waiting.append(on_reply)

    async def ask(self, command: Sequence[Any]) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.send(command, answer.set_result)
        return await answer

    def answer(self, reply: Any) -> None:
        self._waiting.popleft()(reply)


def make_news() -> tuple[News, list[Notice], list[tuple[str, int]]]:
    heard: list[Notice] = []
    forgotten: list[tuple[str, int]] = []
    news = News("me", forgotten.extend)
    news.subscribe(heard.append)
    return news, heard, forgotten


def push(text: str) -> list[bytes]:
    return [b"message", b"routeiq:notices", text.encode()]


async def loading(news: News) -> tuple[Line, "asyncio.Task[None]"]:
    line = Line()
    task = asyncio.create_task(news.load(line))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    return line, task


async def test_a_notice_right_behind_the_snapshots_is_not_overwritten_by_them() -> None:
    news, _, _ = make_news()
    line, task = await loading(news)
    # All in one read from the socket: the loading task has not run in between.
    line.answer([b"k1", b"k2"])
    line.answer(b"knn")
    news.on_push(push("other block k3"))
    news.on_push(push("other unblock k2"))
    news.on_push(push("other strategy least-busy"))
    line.answer([])
    await task
    assert news.blocked == {"k1", "k3"}
    assert news.strategy == "least-busy"


async def test_what_is_said_here_while_snapshots_are_loaded_holds() -> None:
    news, _, _ = make_news()
    line, task = await loading(news)
    news.block("k3", NOW)
    news.unblock("k1")
    news.publish(Notice("strategy", "least-busy"), NOW)
    line.answer([b"", b"k1", b"k2"])
    line.answer(b"knn")
    line.answer([])
    await task
    assert news.blocked == {"k2", "k3"}
    assert news.strategy == "least-busy"
    # What was said once does not come back with later snapshots.
    line, task = await loading(news)
    for reply in ([b"k1"], None, []):
        line.answer(reply)
    await task
    assert news.blocked == {"k1"}
    assert news.strategy is None


async def test_snapshots_tell_listeners_that_keys_may_have_changed_and_which_breakers_are_open() -> None:
    news, heard, _ = make_news()
    line, task = await loading(news)
    for reply in ([], b"", [b"a", b"gone"]):
        line.answer(reply)
    for reply in (b"other/a=OPEN", None):
        await asyncio.sleep(0)
        line.answer(reply)
    await task
    assert heard == [Notice("key", "*"), Notice("models", "*"), Notice("breaker", "other/a=OPEN")]


def test_a_redis_that_lost_its_data_is_given_the_snapshots_and_a_new_one_nothing() -> None:
    news, _, _ = make_news()
    assert news.restore("sha", NOW) == []
    news.block("k2", NOW)
    news.block("k1", NOW)
    news.publish(Notice("strategy", "knn"), NOW)
    assert news.restore("sha", NOW) == [
        ("EVALSHA", "sha", 1, "routeiq:blocked", 7200, NOW, "", "k1", "k2"),
        ("SET", "routeiq:strategy:active", "knn", "NX"),
    ]


@pytest.mark.parametrize("separator", ["other ", ""], ids=["from a worker", "from elsewhere"])
def test_each_kind_of_notice_is_taken(separator: str) -> None:
    news, heard, forgotten = make_news()
    for text in (
        "key team:t",
        "breaker w/a=OPEN",
        "strategy knn",
        "block k 1",
        "spend 86400 key:a b",
        "strategy ",
    ):
        news.on_push(push(separator + text))
    assert heard == [
        Notice("key", "team:t"),
        Notice("breaker", "w/a=OPEN"),
        Notice("strategy", "knn"),
        Notice("key", "k 1"),
        Notice("strategy", ""),
    ]
    assert news.blocked == {"k 1"}
    assert news.strategy is None
    assert forgotten == [("key:a b", 86_400)]


def test_a_worker_does_not_hear_itself_twice() -> None:
    news, heard, _ = make_news()
    (told,) = (command for command in news.block("k1", NOW) if command[0] == "PUBLISH")
    news.on_push(push(told[2]))
    assert heard == [Notice("key", "k1")]


@pytest.mark.parametrize("value", ["", "no slash=OPEN", "worker/", "worker/=OPEN", "worker/name"])
def test_a_breaker_notice_without_a_name_is_told_and_not_kept(value: str) -> None:
    news, _, _ = make_news()
    commands = news.publish(Notice("breaker", value), NOW)
    assert [command[0] for command in commands] == ["PUBLISH"]


def test_an_open_breaker_is_kept_two_minutes_and_a_closed_one_forgotten() -> None:
    news, _, _ = make_news()
    opened = news.publish(Notice("breaker", "w/a=b=OPEN"), NOW)
    assert ("EXPIRE", "routeiq:cb:a=b", 120) in opened  # H4
    closed = news.publish(Notice("breaker", "w/a=b=CLOSED"), NOW)
    assert closed[:2] == [("DEL", "routeiq:cb:a=b"), ("SREM", "routeiq:breakers", "a=b")]


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_no_message_is_an_error(message: list[bytes]) -> None:
    news, _, _ = make_news()
    news.on_push(message)
    news.on_push([b"message", b"routeiq:notices", b" ".join(message)])
    news.on_push([b"subscribe", b"routeiq:notices", 1])


@given(st.sampled_from(["key", "breaker", "strategy", "block", "unblock", "spend"]), st.text(max_size=30))
def test_a_notice_of_a_known_kind_with_any_value_is_no_error(kind: str, value: str) -> None:
    news, _, _ = make_news()
    news.on_push([b"message", b"routeiq:notices", f"other {kind} {value}".encode("utf-8", "surrogatepass")])
