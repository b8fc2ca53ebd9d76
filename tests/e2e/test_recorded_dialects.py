"""Dialects that the small LLM cannot speak, by OpenAI's client, through both upstreams (C1); see tests/e2e/recorded.py.

Cohere's and Jina's clients are not here: their reranking is asked by plain HTTP and its answers are held against their
published shapes.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types import CreateEmbeddingResponse, ImagesResponse, ModerationCreateResponse
from tests.e2e.fleet import Answer, Fleet, eventually, running_fleet
from tests.e2e.recorded import (
    AUDIO,
    IMAGE,
    SRT,
    TEXT,
    VECTOR,
    CohereRerank,
    JinaRerank,
    Recorded,
    running_recorded,
)

pytestmark = pytest.mark.e2e

WAV = b"RIFF\xff\xff\xff\xffWAVEfmt " + bytes(300_000) + b"\r\n--not-a-boundary\r\n"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Recorded, str]]:
    with running_recorded() as served:
        yield served


@pytest.fixture(scope="module")
def fleet(served: tuple[Recorded, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    models = {
        "vectors": ("openai/vec", "embedding"), "ranks": ("hosted_vllm/jina-rank", "rerank"),
        "cohere": ("cohere/cohere-rank", "rerank"), "judge": ("openai/mod", "moderation"),
        "paints": ("openai/img", "image_generation"), "speaks": ("openai/tts", "audio_speech"),
        "hears": ("openai/stt", "audio_transcription"),
    }  # fmt: skip
    params = {
        "api_base": served[1],
        "api_key": "sk-up",
        "input_cost_per_token": 1e-6,
        "output_cost_per_token": 2e-6,
    }
    entries: list[dict[str, Any]] = [
        {"model_name": f"{upstream}-{name}", "litellm_params": {**params, "model": model},
         "model_info": {"upstream": upstream, "mode": mode}}
        for name, (model, mode) in models.items()
        for upstream in ("direct", "litellm")
    ]  # fmt: skip
    for entry in entries:
        if entry["model_name"] == "litellm-cohere":  # the library adds the version itself
            entry["litellm_params"]["api_base"] = served[1].removesuffix("/v1")
    for upstream in ("direct", "litellm"):
        empty = {**params, "model": "openai/x", "api_base": f"{served[1]}/x"}
        entries.append({
            "model_name": f"{upstream}-empty", "litellm_params": empty, "model_info": {"upstream": upstream},
        })  # fmt: skip
    entries.append({"model_name": "claude", "litellm_params": {**params, "model": "anthropic/claude"}})
    config = {
        "model_list": entries,
        "router_settings": {"num_retries": 0},
        "routeiq": {"egress": "sealed", "canaries": []},
    }
    with running_fleet(config, tmp_path_factory.mktemp("recorded"), workers=1, environ={}) as fleet:
        yield fleet
        assert fleet.said("egress outside the configuration") == []
        assert fleet.terminate() == 0


@pytest.fixture
def recorded(served: tuple[Recorded, str]) -> Recorded:
    return served[0]


@pytest.fixture
def client(fleet: Fleet) -> Iterator[openai.OpenAI]:
    key = fleet.manage("/key/generate")["key"]
    with openai.OpenAI(base_url=f"{fleet.url}/v1", api_key=key, max_retries=0) as made:
        yield made


@pytest.fixture(params=["direct", "litellm"])
def via(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def row(fleet: Fleet, client: openai.OpenAI) -> dict[str, Any]:
    """The one row of the client's key."""
    (found,) = eventually(
        lambda: fleet.look(f"/spend/logs?api_key={client.api_key}"), what="the row of a call"
    )
    return dict(found)


@pytest.mark.parametrize("texts", ["hello", ["hello", "there"], [[1, 2], [3]]])
@pytest.mark.parametrize("form", ["float", None])  # without one, the client asks for base64 and unpacks it
def test_embeddings(
    client: openai.OpenAI, fleet: Fleet, recorded: Recorded, via: str, texts: Any, form: Any
) -> None:
    more = {} if form is None else {"encoding_format": form}
    answer = client.embeddings.create(
        model=f"{via}-vectors", input=texts, dimensions=3, extra_body={"input_type": "query"}, **more
    )
    CreateEmbeddingResponse.model_validate(answer.model_dump(), strict=True)
    assert [entry.embedding for entry in answer.data] == [VECTOR] * (1 if isinstance(texts, str) else 2)
    assert answer.model == f"{via}-vectors"
    _, body = recorded.last()
    assert (body["model"], body["input"], body["dimensions"], body["input_type"]) == (
        "vec",
        texts,
        3,
        "query",
    )
    found = row(fleet, client)
    assert (found["call_type"], found["prompt_tokens"], found["completion_tokens"]) == ("aembedding", 8, 0)
    assert (found["estimated"], float(found["spend"])) == (False, pytest.approx(8e-6))


@pytest.mark.parametrize("kind", ["ranks", "cohere"])
@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank"])
def test_reranking(
    client: openai.OpenAI, fleet: Fleet, recorded: Recorded, via: str, path: str, kind: str
) -> None:
    body = {"model": f"{via}-{kind}", "query": "capital?", "documents": ["Rome", "Paris", "Oslo"], "top_n": 2}
    with contextlib.closing(fleet.line()) as line:
        answer: Answer = line.post(path, body, key=client.api_key)
    assert answer.status == 200, answer.body
    asked, sent = recorded.last()
    assert asked == ("/v2/rerank" if (via, kind) == ("litellm", "cohere") else "/v1/rerank")
    assert {name: sent[name] for name in ("query", "documents", "top_n")} == {
        name: body[name] for name in ("query", "documents", "top_n")
    }
    if via == "litellm":
        # The library answers in Cohere's shape, without its version, whoever was asked (docs/upstreams.md).
        assert answer.json["meta"]["tokens"]["input_tokens"] == 12
    elif kind == "cohere":
        CohereRerank.model_validate(answer.json)
    else:
        JinaRerank.model_validate(answer.json)
        assert answer.json["model"] == f"{via}-ranks"
    assert [result["index"] for result in answer.json["results"]] == [2, 1]
    found = row(fleet, client)
    assert (found["call_type"], found["prompt_tokens"], found["estimated"]) == ("rerank", 12, False)


def test_moderations(client: openai.OpenAI, fleet: Fleet, recorded: Recorded, via: str) -> None:
    answer = client.moderations.create(model=f"{via}-judge", input=["one", "two"])
    ModerationCreateResponse.model_validate(answer.model_dump(by_alias=True), strict=True)
    assert [result.flagged for result in answer.results] == [True, True]
    assert answer.results[0].categories.violence
    assert answer.model == f"{via}-judge"
    assert recorded.last()[1]["input"] == ["one", "two"]
    found = row(fleet, client)
    assert (found["call_type"], found["estimated"], found["completion_tokens"]) == ("moderation", True, 0)


def test_images(client: openai.OpenAI, fleet: Fleet, recorded: Recorded, via: str) -> None:
    answer = client.images.generate(
        model=f"{via}-paints", prompt="a cat", n=2, size="1024x1024", quality="low"
    )
    ImagesResponse.model_validate(answer.model_dump(), strict=True)
    assert [image.b64_json for image in answer.data or ()] == [IMAGE, IMAGE]
    _, body = recorded.last()
    assert (body["prompt"], body["n"], body["size"], body["quality"]) == ("a cat", 2, "1024x1024", "low")
    assert answer.usage is not None
    found = row(fleet, client)
    assert (found["call_type"], found["prompt_tokens"], found["completion_tokens"]) == ("image", 10, 272)
    with pytest.raises(openai.APIStatusError, match="not streamed") as caught:
        client.images.generate(model=f"{via}-paints", prompt="a cat", stream=True)
    assert caught.value.status_code == 501


def test_speech(client: openai.OpenAI, fleet: Fleet, recorded: Recorded, via: str) -> None:
    ask: Any = {
        "model": f"{via}-speaks",
        "voice": "alloy",
        "input": "hello",
        "response_format": "mp3",
        "speed": 1.5,
    }
    answer = client.audio.speech.create(**ask)
    assert answer.content == AUDIO
    assert answer.response.headers["content-type"] == "audio/mpeg"
    _, body = recorded.last()
    assert (body["voice"], body["input"], body["speed"]) == ("alloy", "hello", 1.5)
    assert row(fleet, client)["call_type"] == "speech"
    with client.audio.speech.with_streaming_response.create(**ask) as streamed:
        assert streamed.read() == AUDIO


def test_transcriptions(client: openai.OpenAI, fleet: Fleet, recorded: Recorded, via: str) -> None:
    answer = client.audio.transcriptions.create(
        model=f"{via}-hears",
        file=("Gespräch 1.wav", WAV, "audio/wav"),
        language="en",
        prompt="beer",
        temperature=0.5,
    )
    assert answer.text == TEXT
    _, body = recorded.last()
    assert (body["model"], body["language"], body["prompt"], float(body["temperature"])) == (
        "stt",
        "en",
        "beer",
        0.5,
    )
    name, data, kind = body["file"]
    assert data == WAV
    assert kind == "audio/wav"
    assert name.endswith("1.wav")
    assert row(fleet, client)["call_type"] == "transcription"


@pytest.mark.parametrize(("form", "text"), [("text", TEXT + "\n"), ("srt", SRT), ("vtt", SRT)])
def test_transcriptions_as_text(client: openai.OpenAI, via: str, form: Any, text: str) -> None:
    answer: Any = client.audio.transcriptions.create(
        model=f"{via}-hears", file=io.BytesIO(WAV), response_format=form
    )
    assert answer == text


def test_transcriptions_with_words(client: openai.OpenAI, recorded: Recorded, via: str) -> None:
    answer = client.audio.transcriptions.create(
        model=f"{via}-hears", file=("a.wav", WAV), response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )  # fmt: skip
    assert answer.words is not None
    assert (answer.words[0].word, answer.duration, answer.text) == ("The", 2.0, TEXT)
    sent = recorded.last()[1]
    assert sent.get("timestamp_granularities[]", sent.get("timestamp_granularities")) == ["word", "segment"]


def test_transcriptions_are_not_streamed(client: openai.OpenAI, via: str) -> None:
    with pytest.raises(openai.APIStatusError, match="not streamed") as caught:
        client.audio.transcriptions.create(model=f"{via}-hears", file=("a.wav", WAV), stream=True)
    assert caught.value.status_code == 501


def test_a_form_that_is_none_is_the_callers(fleet: Fleet, client: openai.OpenAI) -> None:
    with contextlib.closing(fleet.line()) as line:
        for kind in ("application/json", "multipart/form-data; boundary=x"):
            answer = line.post(
                "/v1/audio/transcriptions", {}, key=client.api_key, headers={"content-type": kind}
            )
            assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_form")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"file": "text"}, "more than once|unknown field"),
        ({"language": ["en", "de"]}, "`language` more than once"),
        ({"temperature": "hot"}, "must be a number"),
        ({"temperature": "nan"}, "`temperature` must be"),
        ({"api_base": "http://10.0.0.1"}, "unknown field `api_base`"),
        ({"response_format": ["a", "b"]}, "more than once"),
        ({"model[]": "x"}, "more than once"),
    ],
)
def test_a_field_of_a_form_that_is_none_is_the_callers(
    client: openai.OpenAI, fleet: Fleet, recorded: Recorded, fields: dict[str, Any], fault: str
) -> None:
    before = len(recorded.requests)
    answer = httpx.post(
        f"{fleet.url}/v1/audio/transcriptions", data={"model": "direct-hears", **fields},
        files={"file": ("a.wav", WAV)}, headers={"authorization": f"Bearer {client.api_key}"},
    )  # fmt: skip
    assert answer.status_code == 400
    assert re.search(fault, answer.json()["error"]["message"])
    assert len(recorded.requests) == before


def test_lists_of_a_form_reach_the_server_as_lists(
    client: openai.OpenAI, recorded: Recorded, via: str
) -> None:
    client.audio.transcriptions.create(
        model=f"{via}-hears",
        file=("a.wav", WAV),
        include=["logprobs"],
        extra_body={"known_speaker_names": ["a", "b"]},
    )
    sent = recorded.last()[1]
    assert sent["include[]"] == ["logprobs"]
    assert sent["known_speaker_names[]"] == ["a", "b"]


def test_a_provider_that_the_library_knows_no_way_to_is_501(client: openai.OpenAI) -> None:
    for ask in (
        lambda: client.images.generate(model="claude", prompt="x"),
        lambda: client.audio.speech.create(model="claude", input="x", voice="alloy"),
        lambda: client.audio.transcriptions.create(model="claude", file=("a.wav", WAV)),
    ):
        with pytest.raises(openai.InternalServerError, match="does not answer") as caught:
            ask()
        assert caught.value.status_code == 501


def test_a_server_that_knows_none_of_them_is_501(client: openai.OpenAI, fleet: Fleet, via: str) -> None:
    model = f"{via}-empty"
    for ask in (
        lambda: client.moderations.create(model=model, input="x"),
        lambda: client.images.generate(model=model, prompt="x"),
        lambda: client.audio.speech.create(model=model, input="x", voice="alloy"),
        lambda: client.audio.transcriptions.create(model=model, file=("a.wav", WAV)),
    ):
        with pytest.raises(openai.InternalServerError, match="does not answer") as caught:
            ask()
        assert caught.value.status_code == 501
    with contextlib.closing(fleet.line()) as line:
        answer = line.post(
            "/v1/rerank", {"model": model, "query": "q", "documents": ["a"]}, key=client.api_key
        )
    assert (answer.status, answer.json["error"]["code"]) == (501, "not_supported")
