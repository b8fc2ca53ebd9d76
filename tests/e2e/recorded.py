"""A recorded upstream: not a model. It answers with what is written below, whatever it is asked.

It stands for servers of embeddings, reranking, moderation, images and audio, which the small LLM of the tests is not.
Requests are held against OpenAI's published parameters and answers against its published shapes, by the models of its
official client, strictly; Cohere's and Jina's shapes of reranking are written down here from their references. So a
test against it shows that a dialect passes through whole, and nothing about a model. It says so in `server`.

`requests` is what arrived: path, headers by lower case name, body (of a form: the fields, and files as name and bytes).
"""

import base64
import email.policy
import json
import struct
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from typing import Any

import openai.types
import pydantic
from openai.types import embedding_create_params, image_generate_params, moderation_create_params
from openai.types.audio import Transcription, TranscriptionVerbose, speech_create_params
from openai.types.chat import ChatCompletion
from tests.e2e.fleet import serving

__all__ = [
    "AUDIO",
    "IMAGE",
    "SRT",
    "TEXT",
    "VECTOR",
    "CohereRerank",
    "JinaRerank",
    "Recorded",
    "running_recorded",
]

VECTOR = [0.5, -0.25, 0.125]
TEXT = "The stale smell of old beer lingers."
SRT = f"1\n00:00:00,000 --> 00:00:02,000\n{TEXT}\n"
AUDIO = b"ID3\x04\x00" + bytes(range(256)) * 4
IMAGE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()


class _Shape(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class _Document(_Shape):
    text: str


class _JinaResult(_Shape):
    index: int
    relevance_score: float
    document: _Document | None = None


class _JinaUsage(_Shape):
    total_tokens: int
    prompt_tokens: int | None = None


class JinaRerank(_Shape):
    """Jina's answer, which vLLM, llama.cpp and Infinity give too."""

    model: str
    usage: _JinaUsage
    results: list[_JinaResult]
    id: str | None = None
    object: str | None = None


class _CohereResult(_Shape):
    index: int
    relevance_score: float


class _CohereMeta(_Shape):
    api_version: dict[str, str]
    billed_units: dict[str, int]
    tokens: dict[str, int]


class CohereRerank(_Shape):
    """Cohere's answer (`/v2/rerank`)."""

    id: str
    results: list[_CohereResult]
    meta: _CohereMeta


_PARAMETERS: dict[str, Any] = {
    "/v1/embeddings": embedding_create_params.EmbeddingCreateParams,
    "/v1/moderations": moderation_create_params.ModerationCreateParams,
    "/v1/images/generations": image_generate_params.ImageGenerateParamsNonStreaming,
    "/v1/audio/speech": speech_create_params.SpeechCreateParams,
}
_SHAPES: dict[str, Any] = {
    "/v1/moderations": openai.types.ModerationCreateResponse,
    "/v1/images/generations": openai.types.ImagesResponse,
    "/v1/chat/completions": ChatCompletion,
}


class Recorded:
    """See the module. A model that begins with `cohere` reranks in Cohere's shape; what is not recorded is 404."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
        kind = headers.get("content-type", "")
        body = _form(kind, raw) if kind.startswith("multipart/") else json.loads(raw)
        path = scope["path"]
        self.requests.append((path, headers, body))
        status, media, data = _answer(path, body)
        await send({
            "type": "http.response.start", "status": status,
            "headers": [(b"content-type", media), (b"server", b"recorded-upstream")],
        })  # fmt: skip
        await send({"type": "http.response.body", "body": data})

    def last(self) -> tuple[str, dict[str, Any]]:
        """Return path and body of the last request."""
        path, _, body = self.requests[-1]
        return path, body


def _answer(path: str, body: dict[str, Any]) -> tuple[int, bytes, bytes]:
    if path in _PARAMETERS:
        known = typing.get_type_hints(_PARAMETERS[path])
        checked = {name: value for name, value in body.items() if name in known}
        pydantic.TypeAdapter(_PARAMETERS[path]).validate_python(checked)
    if path == "/v1/audio/speech":
        return 200, b"audio/mpeg", AUDIO
    if path == "/v1/audio/transcriptions":
        return _transcription(body)
    make = _ANSWERS.get(path)
    if make is None:
        return 404, b"application/json", b'{"detail": "Not Found"}'
    answer = make(body)
    if path != "/v1/embeddings":
        shape = _SHAPES.get(path) or (CohereRerank if body["model"].startswith("cohere") else JinaRerank)
        shape.model_validate_json(json.dumps(answer), strict=True)
    return 200, b"application/json", json.dumps(answer).encode()


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    texts = (
        body["input"]
        if isinstance(body["input"], list) and isinstance(body["input"][0], str | list)
        else [""]
    )
    packed = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    vector = packed if body.get("encoding_format") == "base64" else VECTOR
    made = {
        "object": "list", "model": body["model"], "usage": {"prompt_tokens": 8, "total_tokens": 8},
        "data": [{"object": "embedding", "index": n, "embedding": VECTOR} for n in range(len(texts))],
    }  # fmt: skip
    openai.types.CreateEmbeddingResponse.model_validate_json(json.dumps(made), strict=True)
    if vector is packed:  # a form that the client asks for and unpacks before it has a shape
        return {**made, "data": [{**entry, "embedding": vector} for entry in made["data"]]}
    return made


def _rerank(body: dict[str, Any]) -> dict[str, Any]:
    order = list(reversed(range(len(body["documents"]))))[: body.get("top_n")]
    results: list[dict[str, Any]] = [{"index": n, "relevance_score": 0.5 + n / 100} for n in order]
    if body["model"].startswith("cohere"):
        meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1},
                "tokens": {"input_tokens": 12, "output_tokens": 0}}  # fmt: skip
        return {"id": "recorded", "results": results, "meta": meta}
    if body.get("return_documents", True):
        for result in results:
            document = body["documents"][result["index"]]
            result["document"] = {"text": document if isinstance(document, str) else document["text"]}
    return {"model": body["model"], "usage": {"total_tokens": 12, "prompt_tokens": 12}, "results": results,
            "id": "recorded"}  # fmt: skip


def _moderation(body: dict[str, Any]) -> dict[str, Any]:
    fields = openai.types.moderation.Categories.model_fields
    names = [field.alias or name for name, field in fields.items()]
    result = {
        "flagged": True,
        "categories": {name: name == "violence" for name in names},
        "category_scores": {name: 0.9 if name == "violence" else 0.1 for name in names},
        "category_applied_input_types": {name: ["text"] for name in names},
    }
    several = body["input"] if isinstance(body["input"], list) else [body["input"]]
    return {"id": "modr-recorded", "model": body["model"], "results": [result] * len(several)}


def _images(body: dict[str, Any]) -> dict[str, Any]:
    details = {"image_tokens": 0, "text_tokens": 10}
    usage = {"input_tokens": 10, "output_tokens": 272, "total_tokens": 282, "input_tokens_details": details}
    return {"created": 1_700_000_000, "data": [{"b64_json": IMAGE}] * (body.get("n") or 1), "usage": usage}


def _chat(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-recorded", "object": "chat.completion", "created": 1_700_000_000, "model": body["model"],
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": None,
            "message": {"role": "assistant", "content": TEXT, "refusal": None},
        }],
        "usage": {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17},
    }  # fmt: skip


_ANSWERS = {
    "/v1/embeddings": _embeddings,
    "/v1/rerank": _rerank,
    "/v2/rerank": _rerank,
    "/v1/moderations": _moderation,
    "/v1/images/generations": _images,
    "/v1/chat/completions": _chat,
}


def _transcription(body: dict[str, Any]) -> tuple[int, bytes, bytes]:
    wanted = body.get("response_format", "json")
    if wanted in {"text", "srt", "vtt"}:
        return 200, b"text/plain; charset=utf-8", (TEXT + "\n" if wanted == "text" else SRT).encode()
    answer: dict[str, Any] = {"text": TEXT, "usage": {"type": "duration", "seconds": 2}}
    if wanted == "verbose_json":
        answer = {"task": "transcribe", "language": "english", "duration": 2.0, "text": TEXT, "segments": []}
        answer["words"] = [{"word": "The", "start": 0.0, "end": 0.2}]
    shape: Any = TranscriptionVerbose if wanted == "verbose_json" else Transcription
    shape.model_validate_json(json.dumps(answer), strict=True)
    return 200, b"application/json", json.dumps(answer).encode()


def _form(content_type: str, raw: bytes) -> dict[str, Any]:
    """Read a form by another parser than the gateway's."""
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message = BytesParser(policy=email.policy.HTTP).parsebytes(head + raw)
    found: dict[str, Any] = {}
    for part in message.iter_parts():
        assert isinstance(part, email.message.EmailMessage)
        assert part.get_content_disposition() == "form-data"
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if part.get_filename() is not None:
            found[name] = (part.get_filename(), data, part.get_content_type())
        elif name.endswith("[]"):
            found.setdefault(name, []).append(data.decode())
        else:
            assert name not in found
            found[name] = data.decode()
    return found


@contextmanager
def running_recorded() -> Iterator[tuple[Recorded, str]]:
    """Run it in a thread; yields it and its `api_base`."""
    recorded = Recorded()
    with serving(recorded) as port:
        yield recorded, f"http://127.0.0.1:{port}/v1"
