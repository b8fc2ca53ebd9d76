"""Routes whose answers are no text of a model: rerank, moderations, images, speech, transcriptions."""

from collections.abc import Coroutine
from typing import Any

from routeiq_appliance.api.dataplane import DataPlane
from routeiq_appliance.api.framing import OPENAI
from routeiq_appliance.api.http import Request
from routeiq_appliance.api.multipart import read_form
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Principal

__all__ = ["MediaRoutes"]

_NUMBERS = ("temperature",)


class MediaRoutes:
    """The handlers; each takes a request whose caller is known."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def rerank(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/rerank` (Cohere's and Jina's shape)."""
        return self._plane.answer("rerank", request, principal, OPENAI)

    def moderations(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/moderations`."""
        return self._plane.answer("moderation", request, principal, OPENAI)

    def images(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/images/generations`."""
        return self._plane.answer("image", request, principal, OPENAI)

    def speech(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/audio/speech`: the answer is audio, in one piece."""
        return self._plane.answer("speech", request, principal, OPENAI)

    async def transcriptions(self, request: Request, principal: Principal) -> None:
        """`POST /v1/audio/transcriptions`: a form with a file (RFC 7578); raises `CallError`."""
        raw = await request.body(self._plane.max_body)
        fields, files = read_form(request.header(b"content-type") or "", raw)
        if set(files) != {"file"}:
            raise CallError(400, "the form must hold one file, `file`", code="invalid_value", param="file")
        body: dict[str, Any] = {}
        for name, value in fields:
            if name.endswith("[]") and len(name) > 2:
                several = body.setdefault(name[:-2], [])
                if not isinstance(several, list):
                    raise _twice(name)
                several.append(value)
            elif name in body:
                raise _twice(name)
            elif name == "stream":
                if value.lower() not in {"", "false"}:
                    raise CallError(501, "transcriptions are not streamed", code="not_supported", param=name)
            else:
                body[name] = _number(name, value) if name in _NUMBERS else value
        text = len(fields_text(body))
        call = self._plane.call("transcription", request, body, text, files["file"])
        await self._plane.exchange(request, principal, call, OPENAI)


def _twice(name: str) -> CallError:
    name = name[:64]
    return CallError(400, f"the form holds `{name}` more than once", code="invalid_form", param=name)


def fields_text(body: dict[str, Any]) -> bytes:
    """Return what of a form counts as text: the audio has no tokens that could be estimated."""
    return str(body.get("prompt", "")).encode("utf-8", "replace")


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise CallError(400, f"`{name}` must be a number", code="invalid_value", param=name) from None
