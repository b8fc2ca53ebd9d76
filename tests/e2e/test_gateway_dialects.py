"""Official clients in every dialect against a real LLM: relayed as it speaks, translated, and through LiteLLM (C1).

`native` is asked in every dialect as it comes (the server speaks messages and responses), `chatty` says in its
configuration that it only chats, `library` is called through LiteLLM. What the server cannot do is asked of a recorded
upstream in tests/e2e/test_recorded_dialects.py. `auto` chooses among them by the signed artifact; what decided is read
back from PostgreSQL.
"""

import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import anthropic
import openai
import pydantic
import pytest
from tests.appliance.postgresql import running_postgresql
from tests.e2e.fleet import MASTER_KEY, Fleet, eventually, running_fleet
from tests.e2e.litellm_client import litellm_as_a_client

from routeiq_appliance.cli.demo.prepare import ARTIFACT, Prepared
from routeiq_appliance.cli.demo.stack import LLM_NAME, free_port, run_llm

pytestmark = pytest.mark.e2e

GROUPS = ("native", "chatty", "library")
QUESTION = "What is the capital of France?"
USER: list[Any] = [{"role": "user", "content": QUESTION}]
RESEMBLES = {
    "native": "qwen2.5-7b-instruct", "chatty": "llama3-chatqa-1.5-8b", "library": "llama-3.1-nemotron-51b-instruct",
}  # fmt: skip
"""Which model of the artifact stands for a group."""


class Place(pydantic.BaseModel):
    """What the model is made to answer with."""

    city: Literal["Paris", "Rome", "Berlin"]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with running_postgresql() as server:
        yield server.new_database()


@pytest.fixture(scope="module")
def fleet(prepared: Prepared, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("dialects")
    key, port = secrets.token_hex(16), free_port()
    params = {
        "model": f"openai/{LLM_NAME}", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "os.environ/LLM_API_KEY",
        "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
    }  # fmt: skip
    info: dict[str, dict[str, Any]] = {
        "native": {"upstream": "direct"},
        "chatty": {"upstream": "direct", "kinds": ["chat", "text"], "supports_response_schema": False},
        "library": {"upstream": "litellm"},
    }
    auto = {"candidates": list(GROUPS), "artifact": f"routers/{ARTIFACT}", "model_map": RESEMBLES}
    config = {
        "model_list": [{"model_name": n, "litellm_params": params, "model_info": i} for n, i in info.items()],
        "router_settings": {"num_retries": 0},
        "routeiq": {"egress": "sealed", "canaries": [], "auto": auto},
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            run_llm(prepared.llm_python, prepared.gguf, inside=None, port=port, api_key=key, scratch=folder)
        )
        environ = {
            "LLM_API_KEY": key, "DATABASE_URL": database, "ROUTEIQ_MODELS_PATH": str(prepared.models),
            "ROUTEIQ_TRUST_KEY": str(prepared.trust_key),
        }  # fmt: skip
        fleet = stack.enter_context(running_fleet(config, folder / "gateway", workers=1, environ=environ))
        yield fleet
        assert fleet.said("egress outside the configuration") == []
        assert fleet.terminate() == 0


@pytest.fixture(params=GROUPS)
def group(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Caller:
    """A key of its own and the official clients with it; `row` is what the ledger has of the key's last call."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.key: str = fleet.manage("/key/generate")["key"]
        self.openai = openai.OpenAI(base_url=f"{fleet.url}/v1", api_key=self.key, max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=fleet.url, api_key=self.key, max_retries=0)
        self._rows = 0

    def row(self) -> dict[str, Any]:
        """Return the one row that came since the last look."""

        def look() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = self.fleet.look(f"/spend/logs?api_key={self.key}")
            return found if len(found) > self._rows else []

        rows: list[dict[str, Any]] = eventually(look, what="the row of a call")
        assert len(rows) == self._rows + 1
        self._rows += 1
        return rows[0]

    def close(self) -> None:
        self.openai.close()
        self.anthropic.close()


@pytest.fixture
def caller(fleet: Fleet) -> Iterator[Caller]:
    made = Caller(fleet)
    yield made
    made.close()


def paid(row: dict[str, Any], kind: str, given: int, made: int) -> None:
    """The ledger has the call in its kind, with the usage that the client saw, at its price."""
    call_type = {"chat": "acompletion", "text": "atext_completion"}.get(kind, kind)  # LiteLLM's names
    assert (row["call_type"], row["prompt_tokens"], row["completion_tokens"]) == (call_type, given, made)
    assert (row["http_status"], row["outcome"], row["estimated"]) == (200, "answered", False)
    assert row["spend"] == pytest.approx((given + 2 * made) / 1e6)
    assert given > 0


# --- the official client of OpenAI ---


def test_chat(caller: Caller, group: str) -> None:
    answer = caller.openai.chat.completions.create(model=group, messages=USER, max_tokens=6)
    assert answer.model == group
    assert answer.choices[0].message.content
    assert answer.usage is not None
    paid(caller.row(), "chat", answer.usage.prompt_tokens, answer.usage.completion_tokens)


def test_a_chats_stream(caller: Caller, group: str) -> None:
    stream = caller.openai.chat.completions.create(
        model=group, messages=USER, max_tokens=6, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert {chunk.model for chunk in chunks} == {group}
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage is not None
    paid(caller.row(), "chat", chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens)


def test_a_chat_in_a_schema(caller: Caller, group: str) -> None:
    answer = caller.openai.chat.completions.parse(
        model=group, messages=USER, max_tokens=200, temperature=0, response_format=Place
    )
    assert isinstance(answer.choices[0].message.parsed, Place)


def test_completions(caller: Caller, group: str) -> None:
    answer = caller.openai.completions.create(model=group, prompt="The capital of France is", max_tokens=4)
    assert answer.model == group
    assert answer.choices[0].text
    assert answer.usage is not None
    paid(caller.row(), "text", answer.usage.prompt_tokens, answer.usage.completion_tokens)
    streamed = caller.openai.completions.create(model=group, prompt="One two", max_tokens=4, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices)


def test_responses(caller: Caller, group: str) -> None:
    answer = caller.openai.responses.create(model=group, input=QUESTION, max_output_tokens=6)
    assert answer.model == group
    assert answer.output_text
    assert answer.usage is not None
    paid(caller.row(), "responses", answer.usage.input_tokens, answer.usage.output_tokens)


def test_a_conversation_of_responses_is_sent_by_the_caller(caller: Caller, group: str) -> None:
    first = caller.openai.responses.create(model=group, input=QUESTION, max_output_tokens=4)
    said: list[Any] = [{"role": "user", "content": QUESTION}, *(item.model_dump() for item in first.output)]
    second = caller.openai.responses.create(
        model=group, input=[*said, {"role": "user", "content": "And of Italy?"}], max_output_tokens=4
    )
    assert second.output_text
    assert second.usage is not None
    assert first.usage is not None
    assert second.usage.input_tokens > first.usage.input_tokens
    with pytest.raises(openai.BadRequestError, match="keeps no responses"):
        caller.openai.responses.create(model=group, input="go on", previous_response_id=first.id)


def test_a_stream_of_a_response(caller: Caller, group: str) -> None:
    # The client's helper knows no answer that was cut by its length: the schema ends it before.
    schema: Any = {} if group == "native" else {"text_format": Place}
    with caller.openai.responses.stream(
        model=group, input=QUESTION, max_output_tokens=30, **schema
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        answer = stream.get_final_response()
    assert answer.model == group
    assert answer.output_text == "".join(deltas)
    assert answer.output_text
    assert answer.usage is not None
    paid(caller.row(), "responses", answer.usage.input_tokens, answer.usage.output_tokens)


def test_a_stream_of_a_response_that_is_cut_says_so(caller: Caller, group: str) -> None:
    stream = caller.openai.responses.create(model=group, input=QUESTION, max_output_tokens=3, stream=True)
    *_, last = stream
    # llama.cpp's own responses are never incomplete.
    assert last.type == ("response.completed" if group == "native" else "response.incomplete")


@pytest.mark.parametrize("group", ["chatty", "library"])  # the server's own responses know no schema
def test_a_response_in_a_schema(caller: Caller, group: str) -> None:
    answer = caller.openai.responses.parse(
        model=group, input=QUESTION, max_output_tokens=30, text_format=Place
    )
    assert isinstance(answer.output_parsed, Place)


def test_models(caller: Caller) -> None:
    assert {model.id for model in caller.openai.models.list()} == {"auto", *GROUPS}
    assert caller.openai.models.retrieve("native").id == "native"
    with pytest.raises(openai.NotFoundError):
        caller.openai.models.retrieve("nobody")


def test_openais_errors(caller: Caller, group: str) -> None:
    ask = caller.openai.chat.completions.create
    with pytest.raises(openai.NotFoundError) as missing:
        ask(model="nobody", messages=USER)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        ask(model=group, messages=USER, temperature=3)
    assert bad.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as chat:
        ask(model=group, messages=[{"role": "user", "content": "word " * 6000}])
    assert chat.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError) as long:
        caller.openai.responses.create(model=group, input="word " * 6000, stream=True)
    assert long.value.code == "context_length_exceeded"
    with pytest.raises(openai.AuthenticationError):
        caller.openai.with_options(api_key="sk-nobody").chat.completions.create(model=group, messages=USER)
    with pytest.raises(openai.APIStatusError) as unknown:
        caller.openai.images.generate(model="native", prompt="hi")
    assert unknown.value.status_code == 501


async def test_a_caller_who_leaves_a_stream_is_in_the_ledger(caller: Caller, group: str) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{caller.fleet.url}/v1", api_key=caller.key, max_retries=0
    ) as client:
        stream: AsyncIterator[Any] = await client.responses.create(
            model=group, input="Tell me a very long story.", max_output_tokens=800, stream=True
        )
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()  # type: ignore[attr-defined]
    row = caller.row()
    assert (row["http_status"], row["outcome"], row["stream"]) == (499, "caller_left", True)
    assert row["completion_tokens"] < 800


# --- the official client of Anthropic ---


def test_messages(caller: Caller, group: str) -> None:
    answer = caller.anthropic.messages.create(model=group, messages=USER, max_tokens=6, system="Be brief.")
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", group)
    assert answer.content[0].type == "text"
    assert answer.content[0].text
    assert answer.stop_reason in ("max_tokens", "end_turn")
    given = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
    paid(caller.row(), "messages", given, answer.usage.output_tokens)


def test_a_messages_stream(caller: Caller, group: str) -> None:
    with caller.anthropic.messages.stream(model=group, messages=USER, max_tokens=6) as stream:
        text = "".join(stream.text_stream)
        answer = stream.get_final_message()
    assert answer.model == group
    assert answer.content[0].type == "text"
    assert answer.content[0].text == text
    assert text
    given = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
    paid(caller.row(), "messages", given, answer.usage.output_tokens)


def test_messages_with_what_a_tool_said(caller: Caller, group: str) -> None:
    answer = caller.anthropic.messages.create(
        model=group, max_tokens=6, system=[{"type": "text", "text": "Be brief."}], stop_sequences=["STOP"],
        tools=[{"name": "weather", "description": "weather", "input_schema": {"type": "object", "properties": {}}}],
        messages=[
            {"role": "user", "content": "How is it in Paris?"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "weather", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}]},
        ],
    )  # fmt: skip
    assert answer.usage.output_tokens > 0


def test_tokens_are_counted_by_the_models_own_server(caller: Caller) -> None:
    counted = caller.anthropic.messages.count_tokens(model="native", messages=USER)
    answer = caller.anthropic.messages.create(model="native", messages=USER, max_tokens=1)
    assert counted.input_tokens == answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
    rows = eventually(
        lambda: [r for r in [caller.fleet.look(f"/spend/logs?api_key={caller.key}")] if len(r) == 2]
    )[0]
    assert (rows[1]["call_type"], rows[1]["total_tokens"], float(rows[1]["spend"])) == ("count_tokens", 0, 0)
    for group in ("chatty", "library"):
        with pytest.raises(anthropic.InternalServerError, match="does not answer count_tokens") as caught:
            caller.anthropic.messages.count_tokens(model=group, messages=USER)
        assert caught.value.status_code == 501


def test_anthropics_errors(caller: Caller, group: str) -> None:
    def ask(client: anthropic.Anthropic = caller.anthropic, **more: Any) -> Any:
        return client.messages.create(**{"model": group, "messages": USER, "max_tokens": 5, **more})

    with pytest.raises(anthropic.NotFoundError) as missing:
        ask(model="nobody")
    assert missing.value.type == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        ask(max_tokens=0)
    image = {"type": "image", "source": {"type": "url", "url": "http://169.254.169.254/"}}
    with pytest.raises(anthropic.BadRequestError, match="data"):
        ask(messages=[{"role": "user", "content": [image]}])
    with pytest.raises(anthropic.BadRequestError):
        ask(messages=[{"role": "user", "content": "word " * 6000}])
    with pytest.raises(anthropic.BadRequestError):
        ask(messages=[{"role": "user", "content": "word " * 6000}], stream=True)
    nobody = anthropic.Anthropic(base_url=caller.fleet.url, api_key="sk-nobody", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        ask(nobody)
    nobody.close()


# --- routing, and LiteLLM as a client ---


def test_auto_chooses_in_every_dialect(caller: Caller) -> None:
    answers = (
        caller.openai.chat.completions.create(model="auto", messages=USER, max_tokens=2),
        caller.openai.responses.create(model="auto", input=QUESTION, max_output_tokens=2),
        caller.anthropic.messages.create(model="auto", messages=USER, max_tokens=2),
    )
    assert {answer.model for answer in answers} <= set(GROUPS)
    with caller.anthropic.messages.stream(model="auto", messages=USER, max_tokens=2) as stream:
        assert stream.get_final_message().model in GROUPS
    rows = eventually(
        lambda: [r for r in [caller.fleet.look(f"/spend/logs?api_key={caller.key}")] if len(r) == 4]
    )[0]
    assert {row["model"] for row in rows} == {"auto"}
    assert all(row["model_group"] in GROUPS for row in rows)


def test_a_decision_is_explained_from_postgresql_by_api_and_command(caller: Caller, database: str) -> None:
    # D4, D5, D9: a floor that two groups reach, and a need that one of the three says it cannot meet
    fleet = caller.fleet
    schema = {"name": "place", "schema": Place.model_json_schema(), "strict": True}
    wanted: Any = {"type": "json_schema", "json_schema": schema}
    raw = caller.openai.chat.completions.with_raw_response.create(
        model="auto", messages=USER, max_tokens=4,
        response_format=wanted,
        extra_headers={"x-routeiq-objective": "floor=20%"},
    )  # fmt: skip
    told, usage = raw.headers, raw.parse().usage
    assert usage is not None
    found = fleet.look(f"/router/decisions/{told['x-routeiq-decision-id']}")
    assert (found["objective"], found["objective_from"]) == ("floor=20%", "x-routeiq-objective")
    assert (found["group"], found["strategy"]) == (told["x-routeiq-model"], "ml-guarded")
    assert found["reason"] == "cheapest that reaches floor=20%"
    assert found["artifact"].startswith("sha256:")
    assert found["needs"] == ["json_schema"]
    assert [(item["group"], item["filter"]) for item in found["filtered"]] == [("chatty", "json_schema")]
    assert {item["group"]: item["model"] for item in found["candidates"]} == {
        group: RESEMBLES[group] for group in ("native", "library")
    }
    assert all(0 < item["quality"] < 1 for item in found["candidates"])
    assert found["runner_up"]["group"] == ({"native", "library"} - {found["group"]}).pop()
    price = usage.prompt_tokens * 1e-6 + usage.completion_tokens * 2e-6
    assert found["spend"] == pytest.approx(price)
    assert found["runner_up"]["spend"] == pytest.approx(price)
    command = [sys.executable, "-m", "routeiq_appliance.cli", "router", "explain", found["id"], "--json"]
    environ = {"PATH": os.environ["PATH"], "DATABASE_URL": database}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == found
    # Nothing to judge: the declared order, and it says so
    raw = caller.openai.chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": "?!"}], max_tokens=2
    )
    assert raw.headers["x-routeiq-model"] == GROUPS[0]
    found = fleet.look(f"/router/decisions/{raw.headers['x-routeiq-decision-id']}")
    assert found["reason"].startswith("declared order: ")


@pytest.fixture(scope="module")
def litellm() -> Iterator[Any]:
    with litellm_as_a_client() as library:
        yield library


@pytest.mark.parametrize("group", ["native", "chatty"])
@pytest.mark.filterwarnings(
    "ignore:.*"
)  # the library's own, of pydantic and of connections that it leaves open
def test_litellm_as_a_client(litellm: Any, caller: Caller, group: str) -> None:
    # Its `responses` imports a package for tools of other servers that is not here.
    by_openai = {"model": f"openai/{group}", "api_base": f"{caller.fleet.url}/v1", "api_key": caller.key}
    by_proxy = {**by_openai, "model": f"litellm_proxy/{group}"}
    by_anthropic = {"model": f"anthropic/{group}", "api_base": caller.fleet.url, "api_key": caller.key}
    for where, kind in ((by_openai, "chat"), (by_proxy, "chat"), (by_anthropic, "messages")):
        answer = litellm.completion(**where, messages=USER, max_tokens=5, num_retries=0)
        assert answer.choices[0].message.content
        paid(caller.row(), kind, answer.usage.prompt_tokens, answer.usage.completion_tokens)
        chunks = list(
            litellm.completion(
                **where, messages=USER, max_tokens=5, stream=True, stream_options={"include_usage": True}
            )
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        usage = next(chunk.usage for chunk in reversed(chunks) if getattr(chunk, "usage", None))
        paid(caller.row(), kind, usage.prompt_tokens, usage.completion_tokens)
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**{**by_openai, "model": "openai/nobody"}, messages=USER)
    with pytest.raises(litellm.AuthenticationError):
        litellm.completion(**{**by_anthropic, "api_key": "sk-nobody"}, messages=USER)


def test_without_the_version_it_is_the_same(fleet: Fleet) -> None:
    with contextlib.closing(fleet.line()) as line:
        for path, body in (
            ("/chat/completions", {"messages": USER, "max_tokens": 2}),
            ("/responses", {"input": "hi", "max_output_tokens": 2}),
        ):
            answers = [line.post(prefix + path, {"model": "native", **body}) for prefix in ("", "/v1")]
            assert [answer.status for answer in answers] == [200, 200]
        # The key in either header, as Anthropic's and OpenAI's clients send it.
        body = {"model": "native", "messages": USER, "max_tokens": 2}
        answer = line.post("/v1/messages", body, key="", headers={"x-api-key": MASTER_KEY})
        assert json.loads(answer.body)["type"] == "message"
