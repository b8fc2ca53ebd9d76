"""Asks a model group one prompt over the OpenAI API; what comes of it is an answer, a failure, or a reason to stop.

A failure (no connection, too slow, 429, 5xx, no OpenAI answer) is tried again, as late as `Retry-After` says; what
stays one is missing, not wrong. An answer of another group (a fallback's) says nothing about the one that was asked. A
key that is refused ends everything: each further call would fail alike. Decides nothing about what is right.
"""

import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from routeiq_signing.errors import RouteIQError

__all__ = ["MAX_BYTES", "Asker", "Failure", "Reply"]

MAX_BYTES = 1 << 20
"""Of an answer. A longer one ignores `max_tokens`: it counts as an answer, and as wrong."""
_ATTEMPTS = 4
_LONGEST_WAIT = 60.0
_FIRST_WAIT = 0.5
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_REFUSED = frozenset({401, 403})
_MAX_TOLD = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said; empty where it said nothing."""

    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer."""

    reason: str
    again: bool = False
    wait: float | None = None


@dataclass(frozen=True)
class Asker:
    """Asks at `url`, the address before `/chat/completions`; for several threads. `close` it.

    `key` is sent to that address alone: no redirect is followed, no proxy of the environment used.
    `seconds`: for one attempt.
    """

    url: str
    key: str | None
    max_tokens: int
    seconds: float
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Open the client; raises `RouteIQError` for what is no address."""
        try:
            parsed = httpx.URL(self.url)
        except httpx.InvalidURL:
            parsed = httpx.URL("")
        if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.userinfo:
            raise RouteIQError(
                "--url: is no http:// or https:// address without a user name", subject="--url"
            )
        headers = {"cache-control": "no-cache, no-store"}
        if self.key is not None:
            headers["authorization"] = f"Bearer {self.key}"
        client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(self.seconds),
            trust_env=False,
            follow_redirects=False,
            verify=ssl.create_default_context(),
        )
        object.__setattr__(self, "_client", client)

    def close(self) -> None:
        """Close all connections; calls that still run fail."""
        self._client.close()

    def ask(self, model: str, prompt: str) -> Reply | Failure:
        """Return what became of it; raises `RouteIQError` when the key is refused."""
        found: Reply | Failure = Failure("not asked")
        for attempt in range(_ATTEMPTS):
            found = self._once(model, prompt)
            if isinstance(found, Reply) or not found.again:
                return found
            if attempt + 1 < _ATTEMPTS:
                wait = _FIRST_WAIT * 4**attempt if found.wait is None else found.wait
                self.sleep(min(max(wait, 0.0), _LONGEST_WAIT))
        return found

    def _once(self, model: str, prompt: str) -> Reply | Failure:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": self.max_tokens,
        }
        until = self.clock() + self.seconds
        try:
            with self._client.stream("POST", f"{self.url}/chat/completions", json=body) as answer:
                data = b""
                for part in answer.iter_bytes():
                    data += part
                    if len(data) > MAX_BYTES:
                        return Reply("") if answer.status_code == 200 else Failure(f"{answer.status_code}")
                    if self.clock() > until:
                        return Failure(f"no whole answer within {self.seconds:g} s", again=True)
                return self._judge(answer, data, model)
        except httpx.TimeoutException:
            return Failure(f"no answer within {self.seconds:g} s", again=True)
        except (httpx.HTTPError, httpx.StreamError) as error:
            return Failure(f"{type(error).__name__}: {error}"[:_MAX_TOLD], again=True)

    def _judge(self, answer: httpx.Response, data: bytes, model: str) -> Reply | Failure:
        status = answer.status_code
        value = _json(data)
        if status != 200:
            told = f"{status} {_message(value)}".strip()
            if status in _REFUSED:
                raise RouteIQError(
                    f"{model}: {told}", hint="give a key that may ask this model: --api-key-file"
                )
            return Failure(told, again=status in _AGAIN, wait=_retry_after(answer.headers.get("retry-after")))
        by = answer.headers.get("x-routeiq-model", model)
        if by != model:
            return Failure(f"answered by {by[:80]!r}, its fallback")
        try:
            content = value["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            return Failure("its answer is not a chat completion's", again=True)
        return Reply(content if isinstance(content, str) else "")


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _message(value: Any) -> str:
    """Return what the server says is wrong, printable and short."""
    try:
        told = value["error"]["message"]
    except (KeyError, TypeError):
        return ""
    return "".join(letter if letter.isprintable() else " " for letter in str(told)[:_MAX_TOLD])


def _retry_after(value: str | None) -> float | None:
    """Return seconds to wait (RFC 9110, 10.2.3); None where it does not say, or nonsense."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
