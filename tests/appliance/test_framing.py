"""How streams and errors are written in each dialect; no upstream's event can break out of its frame (I4)."""

import json
from typing import Any

import anthropic
import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.api.framing import ANTHROPIC, OPENAI, RESPONSES, Framing
from routeiq_appliance.errors import CallError, UpstreamError

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_EVENTS = st.fixed_dictionaries(
    {}, optional={"type": st.text(max_size=12) | _JSON, "delta": _JSON, "id": _JSON}
)


def _fields(frame: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of one frame, as a client reads them (WHATWG HTML, 9.2.6)."""
    assert frame.endswith(b"\n\n")
    lines = frame[:-2].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


@pytest.mark.parametrize("framing", [OPENAI, RESPONSES, ANTHROPIC], ids=["openai", "responses", "anthropic"])
@given(event=_EVENTS)
def test_any_event_is_one_frame(framing: Framing, event: dict[str, Any]) -> None:
    *names, (name, data) = _fields(framing.frame(event))
    assert name == b"data"
    read = json.loads(data)
    assert set(read) == set(event)
    if names:
        assert names == [(b"event", event["type"].encode())]


@pytest.mark.parametrize("kind", ["a\nb", "a\rb", "é", "a\x00", "a\u2028b", ["x"], 3, None, {"a": 1}])
@pytest.mark.parametrize("framing", [RESPONSES, ANTHROPIC])
def test_a_type_that_is_no_word_names_no_event(framing: Framing, kind: Any) -> None:
    assert framing.frame({"type": kind}).startswith(b"data: ")


def test_each_dialect_ends_its_own_way() -> None:
    assert OPENAI.frame({"type": "x"}) == b'data: {"type":"x"}\n\n'
    assert OPENAI.done == b"data: [DONE]\n\n"
    for framing in (RESPONSES, ANTHROPIC):
        assert framing.frame({"type": "x"}) == b'event: x\ndata: {"type":"x"}\n\n'
        assert framing.done == b""


_ANTHROPIC_CLASSES = {
    400: (anthropic.BadRequestError, "invalid_request_error"),
    401: (anthropic.AuthenticationError, "authentication_error"),
    403: (anthropic.PermissionDeniedError, "permission_error"),
    404: (anthropic.NotFoundError, "not_found_error"),
    413: (anthropic.RequestTooLargeError, "request_too_large"),
    422: (anthropic.UnprocessableEntityError, "invalid_request_error"),
    429: (anthropic.RateLimitError, "rate_limit_error"),
    500: (anthropic.InternalServerError, "api_error"),
    502: (anthropic.InternalServerError, "api_error"),
    503: (anthropic.ServiceUnavailableError, "overloaded_error"),
    504: (anthropic.DeadlineExceededError, "timeout_error"),
}


@pytest.mark.parametrize("status", _ANTHROPIC_CLASSES)
def test_errors_of_messages_are_what_anthropics_client_knows(status: int) -> None:
    kind = _ANTHROPIC_CLASSES[status][1]
    body = ANTHROPIC.error(CallError(status, "what was wrong"), "req1")
    assert body == {
        "type": "error",
        "error": {"type": kind, "message": "what was wrong"},
        "request_id": "req1",
    }
    response = httpx.Response(status, json=body, request=httpx.Request("POST", "http://gateway/v1/messages"))
    client = anthropic.Anthropic(api_key="k", base_url="http://gateway")
    error = client._make_status_error_from_response(response)
    assert type(error) is _ANTHROPIC_CLASSES[status][0]
    assert error.type == kind
    client.close()


@given(st.integers(400, 599))
def test_every_status_has_an_anthropic_type(status: int) -> None:
    assert ANTHROPIC.error(CallError(status, "x"), "r")["error"]["type"].endswith("_error") or status == 413


def test_a_broken_stream_of_responses_ends_with_an_event_that_openais_client_knows() -> None:
    event = RESPONSES.failure(UpstreamError("broken", 502, "broke off"), "req1")
    parsed = openai.types.responses.ResponseErrorEvent.construct(**event)
    assert (parsed.type, parsed.code, parsed.message, parsed.param) == (
        "error",
        "bad_upstream",
        "broke off",
        None,
    )
    assert RESPONSES.frame(event).startswith(b"event: error\n")
    assert (
        OPENAI.failure(UpstreamError("broken", 502, "broke off"), "req1")["error"]["code"] == "bad_upstream"
    )
    assert ANTHROPIC.failure(UpstreamError("broken", 502, "broke off"), "req1")["type"] == "error"
