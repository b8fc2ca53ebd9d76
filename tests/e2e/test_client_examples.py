"""The client examples of LiteLLM's own documentation against this gateway; docs/clients.md lists each with its result.

An example is run as it is published, but for the address and the key; the published names are groups here. Chats go to
the real LLM, embeddings and moderations to the recorded upstream (tests/e2e/recorded.py). What needs a package that is
not in the lock is asked in the requests that the package sends, where those are known, or listed as not run.
"""

import contextlib
import json
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pydantic
import pytest
from tests.e2e.fleet import Fleet, running_fleet
from tests.e2e.litellm_client import litellm_as_a_client
from tests.e2e.recorded import VECTOR, Recorded, running_recorded

from routeiq_appliance.cli.demo.prepare import Prepared
from routeiq_appliance.cli.demo.stack import LLM_NAME, free_port, run_llm

pytestmark = pytest.mark.e2e

DOCUMENT = Path(__file__).parents[2] / "docs" / "clients.md"
CHATS = ("gpt-3.5-turbo", "gpt-4-turbo", "gpt-4o", "azure-gpt-3.5", "claude-3-opus-20240229", "mistral-small-latest",
         "zephyr-beta")  # fmt: skip
VECTORS = ("text-embedding-ada-002", "azure-embedding-model")
POEM: list[Any] = [{"role": "user", "content": "this is a test request, write a short poem"}]
METADATA = {
    "generation_name": "ishaan-generation-openai-client", "generation_id": "openai-client-gen-id22",
    "trace_id": "openai-client-trace-id22", "trace_user_id": "openai-client-user-id2",
}  # fmt: skip
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["location"],
        },
    },
}


class Place:
    """Where the examples are run: the gateway's address, a key, and the clients that they make."""

    def __init__(self, fleet: Fleet, recorded: Recorded) -> None:
        self.url = fleet.url
        self.fleet = fleet
        self.recorded = recorded
        self.key: str = fleet.manage("/key/generate")["key"]
        self.client = openai.OpenAI(api_key=self.key, base_url=fleet.url, max_retries=0)

    def curl(self, command: str) -> tuple[int, str]:
        """Run a published `curl`; returns the status and what was printed."""
        command = command.replace("$URL", self.url).replace("$KEY", self.key)
        words = [*shlex.split(command.replace("\\\n", " ")), "--silent", "--write-out", "\n%{http_code}"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def row(self) -> dict[str, Any]:
        """The newest row of the key."""
        rows: list[dict[str, Any]] = self.fleet.look(f"/spend/logs?api_key={self.key}&limit=1")
        return rows[0]


@pytest.fixture(scope="module")
def fleet_of_examples(
    prepared: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Fleet, Recorded]]:
    folder = tmp_path_factory.mktemp("examples")
    key, port = secrets.token_hex(16), free_port()
    with contextlib.ExitStack() as stack:
        recorded, api_base = stack.enter_context(running_recorded())
        stack.enter_context(
            run_llm(prepared.llm_python, prepared.gguf, inside=None, port=port, api_key=key, scratch=folder)
        )
        # No example bounds its answer: the model would go on for its whole context.
        llm: dict[str, Any] = {"model": f"openai/{LLM_NAME}", "api_key": key, "max_tokens": 12}
        llm["api_base"] = f"http://127.0.0.1:{port}/v1"
        other = {"api_base": api_base, "api_key": "sk-up"}
        config = {
            "model_list": [
                *({"model_name": name, "litellm_params": llm} for name in CHATS),
                *({"model_name": name, "litellm_params": {**other, "model": "openai/ada"},
                   "model_info": {"mode": "embedding"}} for name in VECTORS),
                {"model_name": "text-moderation-stable", "litellm_params": {**other, "model": "openai/mod"},
                 "model_info": {"mode": "moderation"}},
                {"model_name": "sees", "litellm_params": {**other, "model": "openai/sees"}},
            ],
            "router_settings": {"num_retries": 0},
            "routeiq": {"egress": "sealed", "canaries": [], "translate": "never", "cache": {}},
        }  # fmt: skip
        fleet = stack.enter_context(running_fleet(config, folder / "gateway", workers=1, environ={}))
        yield fleet, recorded
        assert fleet.terminate() == 0


@pytest.fixture
def place(fleet_of_examples: tuple[Fleet, Recorded]) -> Iterator[Place]:
    made = Place(*fleet_of_examples)
    yield made
    made.client.close()


def _text(answer: Any) -> str:
    return str(answer.choices[0].message.content)


# --- "Langchain, OpenAI SDK, LlamaIndex, Instructor, Curl examples": /chat/completions ---


def test_openai_python(place: Place) -> None:
    answer = place.client.chat.completions.create(
        model="gpt-3.5-turbo", messages=POEM, extra_body={"metadata": METADATA}
    )
    assert answer.model == "gpt-3.5-turbo"
    assert _text(answer)


def test_openai_python_with_tags(place: Place) -> None:
    told = {"tags": ["production", "customer-support", "urgent"], "generation_name": "support-bot"}
    answer = place.client.chat.completions.create(
        model="gpt-3.5-turbo", messages=[{"role": "user", "content": "Hello!"}], extra_body={"metadata": told}
    )
    assert _text(answer)


def test_azure_openai_python(place: Place) -> None:
    with openai.AzureOpenAI(
        api_key=place.key, base_url=place.url, api_version="2023-07-01-preview", max_retries=0
    ) as client:
        answer = client.chat.completions.create(
            model="gpt-3.5-turbo", messages=POEM, extra_body={"metadata": METADATA}
        )
        assert answer.model == "gpt-3.5-turbo"


def test_azure_endpoint_as_llamaindex_sends_it(place: Place) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=place.url, api_key=place.key, api_version="2023-07-01-preview", max_retries=0
    ) as client:
        answer = client.chat.completions.create(model="azure-gpt-3.5", messages=POEM, temperature=0.0)
        assert answer.model == "azure-gpt-3.5"
        vectors = client.embeddings.create(model="azure-embedding-model", input=["a", "b"])
        assert [entry.embedding for entry in vectors.data] == [VECTOR, VECTOR]
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="nobody", messages=POEM)
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="sk-nobody").chat.completions.create(
                model="azure-gpt-3.5", messages=POEM
            )


def test_curl(place: Place) -> None:
    status, body = place.curl("""curl --location '$URL/chat/completions' \\
    --header 'Authorization: Bearer $KEY' \\
    --header 'Content-Type: application/json' \\
    --data '{
    "model": "gpt-3.5-turbo",
    "messages": [
        {
        "role": "user",
        "content": "what llm are you"
        }
    ],
    "metadata": {
        "generation_name": "ishaan-test-generation",
        "generation_id": "gen-id22",
        "trace_id": "trace-id22",
        "trace_user_id": "user-id2"
    }
}'""")
    assert (status, json.loads(body)["model"]) == (200, "gpt-3.5-turbo")


def test_curl_without_a_key(place: Place) -> None:
    status, body = place.curl("""curl '$URL/chat/completions' --header 'Content-Type: application/json' \\
    --data '{"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": "what llm are you"}]}'""")
    assert (status, json.loads(body)["error"]["code"]) == (401, "invalid_api_key")


def test_curl_with_tags(place: Place) -> None:
    status, _ = place.curl("""curl --location '$URL/chat/completions' \\
    --header 'Authorization: Bearer $KEY' \\
    --header 'Content-Type: application/json' \\
    --data '{
    "model": "gpt-3.5-turbo",
    "messages": [{"role": "user", "content": "Hello!"}],
    "metadata": {
        "tags": ["api-test", "development"],
        "trace_user_id": "test-user"
    }
}'""")
    assert status == 200


def test_langchain_as_it_sends_it(place: Place) -> None:
    messages: list[Any] = [
        {"role": "system", "content": "You are a helpful assistant that im using to make a test request to."},
        {"role": "user", "content": "test from litellm. tell me why it's amazing in 1 sentence"},
    ]
    answer = place.client.chat.completions.create(
        model="gpt-3.5-turbo", messages=messages, temperature=0.1, n=1, extra_body={"metadata": METADATA}
    )
    assert _text(answer)


def test_langchain_js_with_metadata_as_text(place: Place) -> None:
    with pytest.raises(openai.BadRequestError, match="`metadata` must be an object"):
        place.client.chat.completions.create(
            model="gpt-3.5-turbo", messages=POEM, extra_body={"metadata": "hello world"}
        )


def test_openai_js_as_it_sends_it(place: Place) -> None:
    told: Any = {"tags": ["javascript-client", "api-test"], "trace_user_id": "js-user-789"}
    answer = place.client.chat.completions.create(model="gpt-3.5-turbo", messages=POEM, metadata=told)
    assert _text(answer)


@pytest.mark.filterwarnings("ignore:The model 'claude-3-opus:DeprecationWarning")  # the published example's
def test_anthropic_python(place: Place) -> None:
    with anthropic.Anthropic(base_url=place.url, api_key=place.key) as client:
        message = client.messages.create(
            max_tokens=12,
            messages=[{"role": "user", "content": "Hello, Claude"}],
            model="claude-3-opus-20240229",
        )
    assert message.content[0].type == "text"
    assert message.model == "claude-3-opus-20240229"


def test_mistral_python_as_it_sends_it(place: Place) -> None:
    answer = httpx.post(
        f"{place.url}/v1/chat/completions",
        json={"model": "mistral-small-latest", "messages": POEM, "safe_prompt": False},
        headers={"Authorization": f"Bearer {place.key}", "Accept": "application/json"},
        timeout=60,
    )
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"]


class UserDetail(pydantic.BaseModel):
    """The published example's model, small enough for a small LLM to finish."""

    age: int


def test_instructor_as_it_sends_it(place: Place) -> None:
    schema = UserDetail.model_json_schema()
    tool: Any = {
        "type": "function",
        "function": {"name": "UserDetail", "description": "x", "parameters": schema},
    }
    answer = place.client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Extract Jason is 25 years old"}], max_tokens=40,
        tools=[tool], tool_choice={"type": "function", "function": {"name": "UserDetail"}},
    )  # fmt: skip
    # The client reads the call's arguments; the server holds the model to the schema.
    calls = answer.choices[0].message.tool_calls or []
    assert {call.function.name for call in calls if call.type == "function"} <= {"UserDetail"}


def test_streaming_with_curl(place: Place) -> None:
    status, body = place.curl("""curl $URL/v1/chat/completions \\
-H "Content-Type: application/json" \\
-H "Authorization: Bearer $KEY" \\
-d '{
  "model": "gpt-4-turbo",
  "messages": [
    {
      "role": "user",
      "content": "this is a test request, write a short poem"
    }
  ],
  "stream": true
}'""")
    assert status == 200
    assert body.strip().endswith("data: [DONE]")


def test_streaming_with_the_sdk(place: Place) -> None:
    chunks = place.client.chat.completions.create(model="gpt-4o", messages=POEM, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_function_calling_with_curl(place: Place) -> None:
    body = {
        "model": "gpt-4-turbo", "tools": [WEATHER], "tool_choice": "auto",
        "messages": [{"role": "user", "content": "What is the weather like in Boston today?"}],
    }  # fmt: skip
    status, _ = place.curl(f"""curl $URL/v1/chat/completions -H "Content-Type: application/json" \\
-H "Authorization: Bearer $KEY" -d '{json.dumps(body)}'""")
    assert status == 200


def test_function_calling_with_the_sdk(place: Place) -> None:
    tools: list[Any] = [WEATHER]
    answer = place.client.chat.completions.create(
        model="gpt-4o", messages=POEM, tools=tools, tool_choice="auto"
    )
    assert answer.choices


# --- the same page: /embeddings, /moderations ---


def test_embeddings_with_openai_python(place: Place) -> None:
    answer = place.client.embeddings.create(input=["hello from litellm"], model="text-embedding-ada-002")
    assert answer.data[0].embedding == VECTOR


def test_embeddings_with_curl(place: Place) -> None:
    status, body = place.curl("""curl --location '$URL/embeddings' \\
  --header 'Authorization: Bearer $KEY' \\
  --header 'Content-Type: application/json' \\
  --data ' {
  "model": "text-embedding-ada-002",
  "input": ["write a litellm poem"]
  }'""")
    assert (status, json.loads(body)["data"][0]["embedding"]) == (200, VECTOR)


def test_langchain_embeddings_as_it_sends_them(place: Place) -> None:
    # As token ids, in base64.
    answer = place.client.embeddings.create(input=[[2028, 374, 264, 1296]], model="text-embedding-ada-002")
    assert answer.data[0].embedding == VECTOR


def test_moderations_with_openai_python(place: Place) -> None:
    answer = place.client.moderations.create(input="hello from litellm", model="text-moderation-stable")
    assert answer.results[0].categories.violence


def test_moderations_with_curl(place: Place) -> None:
    status, body = place.curl("""curl --location '$URL/moderations' \\
    --header 'Content-Type: application/json' \\
    --header 'Authorization: Bearer $KEY' \\
    --data '{"input": "Sample text goes here", "model": "text-moderation-stable"}'""")
    assert (status, json.loads(body)["results"][0]["flagged"]) == (200, True)


# --- the same page: what is refused ---


def test_batch_completions(place: Place) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt-3.5-turbo,gpt-4o"):
        place.client.chat.completions.create(model="gpt-3.5-turbo,gpt-4o", messages=POEM)


@pytest.mark.parametrize(
    "more",
    [
        {"api_key": "my-bad-key"},
        {"api_key": "my-azure-key", "api_base": "my-azure-base", "api_version": "my-azure-version"},
        {"user_config": {"model_list": []}},
    ],
)
def test_clientside_credentials(place: Place, more: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError, match="unknown field"):
        place.client.chat.completions.create(model="gpt-3.5-turbo", messages=POEM, extra_body=more)


# --- other pages ---


def test_legacy_completions(place: Place) -> None:
    answer = place.client.completions.create(model="gpt-3.5-turbo", prompt="Say this is a test", max_tokens=7)
    assert answer.choices[0].text


def test_models_list(place: Place) -> None:
    assert {"gpt-3.5-turbo", "text-embedding-ada-002"} <= {model.id for model in place.client.models.list()}


def test_clientside_fallbacks(place: Place) -> None:
    with pytest.raises(openai.BadRequestError, match="unknown field `fallbacks`"):
        place.client.chat.completions.create(
            model="zephyr-beta", messages=POEM, extra_body={"fallbacks": ["gpt-3.5-turbo"]}
        )


@pytest.mark.parametrize("name", ["timeout", "num_retries", "mock_response", "mock_testing_fallbacks"])
def test_the_librarys_own_fields(place: Place, name: str) -> None:
    with pytest.raises(openai.BadRequestError, match=f"unknown field `{name}`"):
        place.client.chat.completions.create(model="gpt-3.5-turbo", messages=POEM, extra_body={name: 1})


def test_the_proxys_headers(place: Place) -> None:
    answer = place.client.chat.completions.with_raw_response.create(
        model="gpt-3.5-turbo", messages=POEM,
        extra_headers={"x-litellm-timeout": "5", "x-litellm-num-retries": "1", "x-litellm-customer-id": "c",
                       "x-litellm-enable-message-redaction": "true", "x-litellm-tags": "a,b"},
    )  # fmt: skip
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("x-litellm-")]


def test_provider_specific_params(place: Place) -> None:
    answer = place.client.chat.completions.create(
        model="gpt-3.5-turbo", messages=POEM, extra_body={"top_k": 3, "drop_params": True}
    )
    assert _text(answer)


@pytest.mark.parametrize("control", [{"no-cache": True}, {"ttl": 300}, {"namespace": "my-custom-namespace"}])
def test_cache_controls(place: Place, control: dict[str, Any]) -> None:
    answer = place.client.chat.completions.create(
        model="gpt-3.5-turbo", messages=POEM, extra_body={"cache": control}
    )
    assert _text(answer)


def test_users_of_a_key(place: Place) -> None:
    answer = place.client.chat.completions.create(model="gpt-3.5-turbo", messages=POEM, user="palantir")
    assert _text(answer)
    assert place.row()["user"] is None  # the key's user is accounted, not the one that a caller names


def test_vision_with_an_address(place: Place) -> None:
    part = {"type": "image_url", "image_url": {"url": "https://awsmp-logos.s3.amazonaws.com/x.png"}}
    message: Any = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]}
    with pytest.raises(openai.BadRequestError, match="fetches nothing for a caller"):
        place.client.chat.completions.create(model="sees", messages=[message])


def test_vision_with_data(place: Place) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    message: Any = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]}
    assert _text(place.client.chat.completions.create(model="sees", messages=[message]))
    assert place.recorded.last()[1]["messages"] == [message]


def test_responses(place: Place) -> None:
    answer = place.client.responses.create(model="gpt-4o", input="Tell me a story.", max_output_tokens=8)
    assert answer.output_text


def test_responses_in_a_session(place: Place) -> None:
    with pytest.raises(openai.BadRequestError, match="keeps no responses"):
        place.client.responses.create(model="gpt-4o", input="and then?", previous_response_id="resp_1")


def test_responses_with_mcp(place: Place) -> None:
    tool: Any = {
        "type": "mcp",
        "server_label": "litellm",
        "server_url": "litellm_proxy",
        "require_approval": "never",
    }
    with pytest.raises(openai.BadRequestError, match="only tools that the caller runs"):
        place.client.responses.create(model="gpt-4o", input="hi", tools=[tool])


def test_messages_with_curl(place: Place) -> None:
    status, body = place.curl("""curl -L -X POST '$URL/v1/messages' \\
-H 'content-type: application/json' \\
-H 'x-api-key: $KEY' \\
-H 'anthropic-version: 2023-06-01' \\
-d '{
  "model": "claude-3-opus-20240229",
  "messages": [{"role": "user", "content": "Hello, can you tell me a short joke?"}],
  "max_tokens": 10
}'""")
    assert (status, json.loads(body)["type"]) == (200, "message")


NOT_HERE = [
    ("POST", "/assistants"), ("POST", "/threads"), ("POST", "/v1/batches"), ("POST", "/v1/files"),
    ("POST", "/v1/fine_tuning/jobs"), ("GET", "/vertex_ai/v1/projects"), ("POST", "/v1/images/edits"),
    ("POST", "/utils/token_counter"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), NOT_HERE)
def test_paths_that_are_not_here(place: Place, method: str, path: str) -> None:
    answer = httpx.request(
        method, place.url + path, json={}, headers={"Authorization": f"Bearer {place.key}"}
    )
    assert answer.status_code in {403, 404}


@pytest.fixture(scope="module")
def litellm() -> Iterator[Any]:
    with litellm_as_a_client() as library:
        yield library


@pytest.mark.filterwarnings("ignore:.*")  # the library's own
def test_litellm_python(litellm: Any, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_PROXY_API_KEY", place.key)
    monkeypatch.setenv("LITELLM_PROXY_API_BASE", place.url)
    messages = [{"content": "Hello, how are you?", "role": "user"}]
    assert _text(litellm.completion(model="litellm_proxy/gpt-4o", messages=messages))
    streamed = litellm.completion(model="litellm_proxy/gpt-4o", messages=messages, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
    vectors = litellm.embedding(model="litellm_proxy/text-embedding-ada-002", input=["hello world"])
    assert vectors.data[0]["embedding"] == VECTOR
    explicit = {"model": "openai/gpt-4o", "api_key": place.key, "api_base": place.url, "messages": messages}
    assert _text(litellm.completion(**explicit))


# --- the document ---


def test_the_document_lists_every_example_that_is_run() -> None:
    run = {name for name, value in globals().items() if name.startswith("test_") and callable(value)}
    run.remove("test_the_document_lists_every_example_that_is_run")
    listed = set(re.findall(r"`(test_\w+)`", DOCUMENT.read_text(encoding="utf-8")))
    assert listed == run
