"""What a body of each dialect may hold: required, types, what is relayed, and what nobody may choose (C1, G4)."""

import contextlib
import copy
import string
import typing
from typing import Any, get_args

import anthropic.types
import anthropic.types.beta.message_create_params as anthropic_beta
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import (
    completion_create_params,
    embedding_create_params,
    image_generate_params,
    moderation_create_params,
)
from openai.types.audio import speech_create_params, transcription_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from routeiq_appliance.api.fields import EVERYTHING, check_fields, user_text
from routeiq_appliance.api.fields.forbidden import is_forbidden, require_no_addresses
from routeiq_appliance.errors import CallError
from routeiq_appliance.limits import DEFAULT_LIMITS
from routeiq_appliance.pipeline.types import Kind

_ALL = frozenset({EVERYTHING})


def words(text: str) -> list[str]:
    return text.split()


_KINDS: tuple[Kind, ...] = get_args(Kind)
_USER = [{"role": "user", "content": "hi"}]
LEAST: dict[Kind, dict[str, Any]] = {
    "chat": {"messages": _USER},
    "text": {"prompt": "hi"},
    "embedding": {"input": "hi"},
    "messages": {"messages": _USER, "max_tokens": 5},
    "count_tokens": {"messages": _USER},
    "responses": {"input": "hi"},
    "rerank": {"query": "q", "documents": ["a", {"text": "b"}]},
    "moderation": {"input": "hi"},
    "image": {"prompt": "hi"},
    "speech": {"input": "hi", "voice": "alloy"},
    "transcription": {},
}
# What llama.cpp's README (server) and vLLM's protocols (chat, completions, embeddings, rerank) have beyond OpenAI.
LLAMA_CPP = words("""
    cache_prompt chat_template_kwargs dry_allowed_length dry_base dry_multiplier dry_penalty_last_n
    dry_sequence_breakers dynatemp_exponent dynatemp_range grammar grammar_lazy grammar_triggers id_slot ignore_eos
    image_data input_extra input_prefix input_suffix json_schema logit_bias lora min_keep min_p mirostat mirostat_eta
    mirostat_tau n_cache_reuse n_cmpl n_discard n_indent n_keep n_predict n_probs parallel_tool_calls
    parse_tool_calls post_sampling_probs preserved_tokens reasoning_format repeat_last_n repeat_penalty
    response_fields return_progress return_tokens samplers speculative.n_max speculative.n_min speculative.p_min
    t_max_predict_ms thinking_forced_open timings_per_token top_k top_n_sigma typical_p xtc_probability xtc_threshold
""")
VLLM = words("""
    activation add_generation_prompt add_special_tokens allowed_token_ids bad_words cache_salt chat_template
    chat_template_kwargs continue_final_message documents echo embed_dtype encoding_format endianness guided_choice
    guided_decoding_backend guided_grammar guided_json guided_regex guided_whitespace_pattern ignore_eos
    include_reasoning include_stop_str_in_output length_penalty logits_processors logprob_token_ids media_io_kwargs
    min_p
    min_tokens mm_processor_kwargs normalize priority prompt_embeds prompt_logprobs reasoning_effort
    repetition_detection repetition_penalty request_id return_prompt_text return_token_ids return_tokens_as_token_ids
    session_id skip_special_tokens softmax spaces_between_special_tokens stop_token_ids stream_interval
    structural_tag structured_outputs thinking_token_budget top_k truncate_prompt_tokens truncation_side
    use_beam_search vllm_xargs
""")
OTHERS = words(
    "input_type prompt_cache_key reasoning_effort enable_thinking safe_prompt random_seed thinking task late_chunking"
)
# What is published and refused all the same.
REFUSED = {
    "mcp_servers": "Anthropic would dial them",
    "fallbacks": "another model than the key may use",
    "kv_transfer_params": "vLLM connects to the host in it",
    "ec_transfer_params": "vLLM connects to the host in it",
}


def _published(*kinds: Any) -> list[str]:
    return sorted({name for kind in kinds for name in typing.get_type_hints(kind)})


OPENAI: dict[Kind, list[str]] = {
    "chat": _published(chat_create_params.CompletionCreateParamsBase),
    "text": _published(completion_create_params.CompletionCreateParamsBase),
    "embedding": _published(embedding_create_params.EmbeddingCreateParams),
    "responses": _published(response_create_params.ResponseCreateParamsBase),
    "image": _published(image_generate_params.ImageGenerateParamsBase),
    "moderation": _published(moderation_create_params.ModerationCreateParams),
    "speech": _published(speech_create_params.SpeechCreateParams),
    "transcription": _published(transcription_create_params.TranscriptionCreateParamsBase),
}
ANTHROPIC: dict[Kind, list[str]] = {
    "messages": _published(
        anthropic.types.message_create_params.MessageCreateParamsBase,
        anthropic_beta.MessageCreateParamsBase,
    ),
    "count_tokens": _published(anthropic.types.message_count_tokens_params.MessageCountTokensParams),
}


def check(kind: Kind, *, extra: frozenset[str] = _ALL, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields for the upstream and those beyond the dialect."""
    body = {"model": "m", **copy.deepcopy(LEAST[kind]), **more}
    model, params, beyond = check_fields(kind, body, extra_names=extra, limits=DEFAULT_LIMITS)
    assert model == "m"
    return params, beyond


def refused(kind: Kind, **more: Any) -> CallError:
    with pytest.raises(CallError) as caught:
        check(kind, **more)
    assert caught.value.status == 400, caught.value
    return caught.value


# --- required, types, relayed ---


@pytest.mark.parametrize("kind", _KINDS)
def test_the_least_body_is_taken(kind: Kind) -> None:
    params, beyond = check(kind)
    assert beyond == {}
    assert params == ({**LEAST[kind], "store": False} if kind == "responses" else LEAST[kind])


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in _KINDS for name in (*LEAST[kind], "model")]
)
def test_what_is_required_is_missed_by_name(kind: Kind, name: str) -> None:
    body = {"model": "m", **LEAST[kind]}
    del body[name]
    with pytest.raises(CallError, match=f"`{name}`") as caught:
        check_fields(kind, body, extra_names=_ALL, limits=DEFAULT_LIMITS)
    assert (caught.value.status, caught.value.param) == (400, name)


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("body", [None, [], "text", 1, True])
def test_a_body_that_is_no_object_is_refused(kind: Kind, body: Any) -> None:
    with pytest.raises(CallError, match="must be a JSON object"):
        check_fields(kind, body, extra_names=_ALL, limits=DEFAULT_LIMITS)


@pytest.mark.parametrize("kind", _KINDS)
def test_null_is_as_good_as_absent(kind: Kind) -> None:
    published = {**OPENAI, **ANTHROPIC}.get(kind, [])
    given = {
        name: None
        for name in published
        if name not in LEAST[kind] and name not in {"model", "file", *REFUSED}
    }
    params, beyond = check(kind, **given)
    assert {name for name in params if name not in LEAST[kind]} <= {"store"}
    assert set(beyond.values()) <= {None}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", _KINDS)
@settings(max_examples=30)
@given(data=st.data())
def test_any_value_of_any_field_is_taken_or_refused_with_400(kind: Kind, data: st.DataObject) -> None:
    names = [*LEAST[kind], *{**OPENAI, **ANTHROPIC}.get(kind, []), "stream", "cache", "metadata", "n"]
    body = data.draw(st.dictionaries(st.sampled_from(names) | st.text(max_size=5), _JSON, max_size=5))
    body = {"model": "m", **copy.deepcopy(LEAST[kind]), **body}
    try:
        _, params, _ = check_fields(kind, body, extra_names=_ALL, limits=DEFAULT_LIMITS)
    except CallError as error:
        fault = error
    else:
        fault = CallError(400, "none")
        assert isinstance(user_text(kind, params, DEFAULT_LIMITS), str)
    assert fault.status in {400, 501}
    assert len(fault.param or "") <= 300


@pytest.mark.parametrize("kind", _KINDS)
@settings(max_examples=10)
@given(value=_JSON)
def test_unknown_fields_are_relayed_as_they_are(kind: Kind, value: Any) -> None:
    _, beyond = check(kind, some_new_knob=value)
    assert beyond["some_new_knob"] is value


@pytest.mark.parametrize("kind", _KINDS)
def test_unknown_fields_are_refused_where_the_configuration_names_none(kind: Kind) -> None:
    error = refused(kind, extra=frozenset(), some_new_knob=1)
    assert (error.code, error.param) == ("unknown_parameter", "some_new_knob")
    _, beyond = check(kind, extra=frozenset({"some_new_knob"}), some_new_knob=1)
    assert beyond == {"some_new_knob": 1}


@pytest.mark.parametrize("kind", _KINDS)
def test_what_is_the_gateways_own_goes_to_no_upstream(kind: Kind) -> None:
    params, beyond = check(kind, metadata={"tags": ["a"]}, store=True, cache={"no-cache": True})
    assert not {"metadata", "cache"} & {*params, *beyond}
    assert "store" not in beyond
    assert params.get("store", False) is False


@pytest.mark.parametrize("kind", [k for k in _KINDS if k not in {"chat", "text", "messages", "responses"}])
def test_what_is_not_streamed_says_so(kind: Kind) -> None:
    with pytest.raises(CallError, match="not streamed") as caught:
        check(kind, stream=True)
    assert caught.value.status == (501 if kind == "image" else 400)
    for value in (False, None):
        params, beyond = check(kind, stream=value)
        assert "stream" not in {*params, *beyond}


def test_a_great_many_fields_are_refused() -> None:
    assert "64" in str(refused("chat", **{f"x{number}": 1 for number in range(65)}))


# --- names ---


@pytest.mark.parametrize(
    "name",
    sorted({
        *(name for names in (*OPENAI.values(), *ANTHROPIC.values()) for name in names),
        *LLAMA_CPP, *VLLM, *OTHERS,
    } - {"file"} - REFUSED.keys()),
)  # fmt: skip
def test_no_published_parameter_is_taken_for_an_address(name: str) -> None:
    assert not is_forbidden(name)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_the_published_parameters_that_are_refused_are_these(name: str) -> None:
    assert is_forbidden(name)


FORBIDDEN = words("""
    api_base api_key api_version api_type base_url base_model_url azure_ad_token azure_endpoint aws_access_key_id
    aws_bedrock_runtime_endpoint aws_session_token vertex_credentials vertex_project watsonx_url oci_key oci_user
    custom_llm_provider mock_response mock_timeout litellm_params litellm_call_id proxy proxies proxy_server_request
    callback callbacks callback_url success_callback failure_callback input_callback webhook webhook_url client
    http_client headers extra_headers extra_query extra_body model_list fallbacks context_window_fallbacks
    default_fallbacks organization project mcp_servers server_url ssl_verify timeout max_retries num_retries
    custom_prompt_dict user_config langfuse_host langfuse_secret_key langsmith_api_key s3_bucket_name gcs_bucket_name
    image_url file_url url uri endpoint host hostname model_endpoint hf_api_key secret password client_secret
    azure_ad_token_provider file_id file_ids file files authorization kv_transfer_params ec_transfer_params
""")
VARIANTS = [str, str.upper, str.title, lambda n: n.replace("_", "-"), lambda n: n.replace("_", "."),
            lambda n: f" {n} ", lambda n: f"_{n}", lambda n: "".join(w.title() if i else w for i, w in
                                                                     enumerate(n.split("_")))]  # fmt: skip


@pytest.mark.parametrize("kind", _KINDS)
def test_no_dialect_relays_a_name_that_steers_a_call(kind: Kind) -> None:  # G4
    for name in FORBIDDEN:
        for variant in VARIANTS:
            error = refused(kind, **{variant(name): "http://10.0.0.1"})
            assert error.code == "unknown_parameter", variant(name)


def test_a_name_that_the_configuration_relays_by_name_is_relayed() -> None:
    assert check("chat", extra=frozenset({"timeout"}), timeout=3)[1] == {"timeout": 3}


@given(st.text(string.printable, max_size=30))
def test_any_name_is_judged(name: str) -> None:
    assert is_forbidden(name) in (True, False)


# --- addresses ---

BAD_URLS = ["http://169.254.169.254/", "https://x.example/a.png", "file:///etc/passwd", "//x", "ftp://x", " http://x",
            "HTTP://x", "gopher://x", "s3://bucket/key", "x", ""]  # fmt: skip
DATA = "data:image/png;base64,AAAA"


def _deep(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [{"x": value}]
    return value


def _contents(part: Any) -> list[tuple[Kind, dict[str, Any]]]:
    """Where a part of a content may stand, in each dialect."""
    user = [{"role": "user", "content": [part]}]
    tool = [{"type": "tool_result", "tool_use_id": "t", "content": [part]}]
    return [
        ("messages", {"messages": user}),
        ("count_tokens", {"messages": user}),
        ("messages", {"messages": [{"role": "user", "content": tool}]}),
        ("messages", {"system": [part]}),
        ("responses", {"input": user}),
        ("responses", {"input": [{"type": "function_call_output", "call_id": "c", "output": [part]}]}),
        ("moderation", {"input": [part]}),
        ("embedding", {"messages": user}),
        ("rerank", {"documents": [{"content": [part]}]}),
        ("chat", {"prompt_template": user}),
        ("text", {"multi_modal_data": _deep(part, 3)}),
        ("speech", {"reference": part}),
    ]


@pytest.mark.parametrize("url", BAD_URLS)
def test_no_part_of_any_content_is_fetched(url: str) -> None:  # G4
    parts = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": url},
        {"type": "input_image", "image_url": url},
        {"type": "input_file", "file_url": url},
        {"type": "image", "source": {"type": "url", "url": url}},
        {"type": "document", "source": {"type": "url", "url": url}},
        {"type": "video_url", "video_url": {"url": [url]}},
        {"type": "any", "fileUri": url},
        {"type": "any", "deep": _deep({"Image_URL": url}, 20)},
    ]
    if "://" in url:
        parts += [{"type": "image", "image": url}, {"type": "video", "video": [DATA, url]}]
    for part in parts:
        for kind, body in _contents(part):
            assert "data:" in str(refused(kind, **body)), (kind, part)


@pytest.mark.parametrize("url", BAD_URLS)
@pytest.mark.parametrize(
    ("kind", "inner"),
    [("image_url", "url"), ("video_url", "url"), ("audio_url", "url"), ("file", "file_data")],
)
def test_no_part_of_a_chat_is_fetched(url: str, kind: str, inner: str) -> None:  # G4
    for part in (
        {"type": kind, kind: {inner: url}},
        {"type": kind, kind: url},
        {"type": kind, kind: {}},
        {"type": "text", "text": "hi", kind: {"url": url}},
        {"type": kind, kind: {inner: DATA}, "image_url": {"url": url}},
    ):
        refused("chat", messages=[{"role": "user", "content": [part]}])
    refused("chat", messages=[{"role": "user", "content": "hi", "images": [{kind: {"url": url}}]}])
    refused("chat", prediction={"type": "content", "content": [{"type": kind, kind: {"url": url}}]})


@pytest.mark.parametrize(
    "part",
    [{"type": "input_file", "file_id": "f"}, {"type": "image", "source": {"type": "file", "file_id": "f"}}],
)
def test_no_stored_file_is_used(part: dict[str, Any]) -> None:
    for kind, body in _contents(part):
        assert "file" in str(refused(kind, **body))
    refused("chat", messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}])


def test_data_is_content_in_every_dialect() -> None:
    for part in (
        {"type": "image_url", "image_url": {"url": DATA, "detail": "low"}},
        {"type": "input_image", "image_url": "DATA:image/png;base64,AAAA"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "http://x"}},
        {"type": "text", "text": "see http://x.example"},
    ):
        for kind, body in _contents(part):
            check(kind, **body)
    for kind, inner in (("image_url", "url"), ("video_url", "url"), ("file", "file_data")):
        content = [{"type": kind, kind: {inner: DATA}}, {"type": "text", "text": "http://x"}]
        params, _ = check("chat", messages=[{"role": "user", "content": content}])
        assert params["messages"][0]["content"] == content


def test_what_the_callers_tools_are_called_with_is_data() -> None:
    use = {
        "type": "tool_use",
        "id": "t",
        "name": "fetch",
        "input": {"url": "https://x.example", "file_id": 3},
    }
    check("messages", messages=[{"role": "assistant", "content": [use]}])
    call = {"type": "function_call", "call_id": "c", "name": "fetch", "arguments": '{"url": "https://x"}'}
    check(
        "responses",
        input=[call, {"type": "custom_tool_call", "call_id": "d", "name": "f", "input": "https://x"}],
    )
    function = {"name": "fetch", "arguments": '{"url": "https://x"}'}
    check(
        "chat",
        messages=[
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]}
        ],
    )


def test_where_a_text_was_found_is_data() -> None:
    found = [{"type": "url_citation", "url": "https://x.example", "title": "x", "file_id": None}]
    check("messages", messages=[
        {"role": "assistant", "content": [{"type": "text", "text": "a", "citations": found}]}])  # fmt: skip
    check("responses", input=[
        {"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": found}]}])  # fmt: skip
    check("chat", messages=[{"role": "assistant", "content": "a", "annotations": found}])
    check("chat", documents=[{"title": "t", "text": "x", "url": "https://x.example"}])
    check("rerank", documents=[{"text": "x", "url": "https://x.example"}])


def test_a_schema_may_have_a_property_that_is_called_url() -> None:
    schema = {
        "type": "object",
        "properties": {"url": {"type": "string", "format": "uri"}, "file_id": {"type": "string"}},
    }
    function = {"name": "f", "parameters": schema}
    check("chat", tools=[{"type": "function", "function": function}], functions=[function],
          response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}})  # fmt: skip
    check("messages", tools=[{"name": "f", "input_schema": schema}])
    check("responses", tools=[{"type": "function", "name": "f", "parameters": schema}],
          text={"format": {"type": "json_schema", "name": "n", "schema": schema}})  # fmt: skip


def test_a_schema_beyond_the_dialect_may_too() -> None:
    schema = {"type": "object", "properties": {"url": {"type": "string"}, "image_url": {"type": "string"}}}
    check("chat", guided_json=schema, structured_outputs={"json": schema})


@given(_JSON)
def test_any_value_is_searched(value: Any) -> None:
    with contextlib.suppress(CallError):
        require_no_addresses(value, "x")


# --- tools that a server would run ---


@pytest.mark.parametrize(
    ("kind", "tool"),
    [
        ("chat", {"type": "mcp", "server_url": "http://10.0.0.1"}),
        ("chat", {"type": "web_search"}),
        ("messages", {"type": "web_search_20250305", "name": "web_search"}),
        ("messages", {"type": "web_fetch_20250910", "name": "web_fetch"}),
        ("messages", {"type": "code_execution_20250825", "name": "code_execution"}),
        ("messages", {"type": "mcp_toolset", "name": "x", "mcp_server_name": "x"}),
        ("messages", {"type": 3, "name": "x"}),
        ("count_tokens", {"type": "web_search_20250305", "name": "web_search"}),
        ("responses", {"type": "mcp", "server_label": "x", "server_url": "http://10.0.0.1"}),
        ("responses", {"type": "web_search"}),
        ("responses", {"type": "file_search", "vector_store_ids": ["v"]}),
        ("responses", {"type": "code_interpreter", "container": {"type": "auto"}}),
        ("responses", {"type": "image_generation"}),
        (
            "responses",
            {"type": "namespace", "name": "n", "tools": [{"type": "mcp", "server_url": "http://x"}]},
        ),
        ("responses", {"type": "namespace", "name": "n"}),
    ],
)
def test_a_tool_that_a_server_would_run_is_refused(kind: Kind, tool: dict[str, Any]) -> None:
    assert "tools[0]" in str(refused(kind, tools=[tool]))


@pytest.mark.parametrize(
    ("kind", "tool"),
    [
        ("chat", {"type": "function", "function": {"name": "f"}}),
        ("chat", {"type": "custom", "custom": {"name": "f"}}),
        ("messages", {"name": "f", "input_schema": {}}),
        ("messages", {"type": "custom", "name": "f", "input_schema": {}}),
        ("messages", {"type": "bash_20250124", "name": "bash"}),
        ("messages", {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}),
        ("count_tokens", {"name": "f", "input_schema": {}}),
        ("responses", {"type": "function", "name": "f", "parameters": {}}),
        ("responses", {"type": "custom", "name": "apply_patch"}),
        ("responses", {"type": "local_shell"}),
        ("responses", {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]}),
    ],
)
def test_a_tool_that_the_caller_runs_is_relayed(kind: Kind, tool: dict[str, Any]) -> None:
    assert check(kind, tools=[tool])[0]["tools"] == [tool]


# --- responses that nobody kept ---


@pytest.mark.parametrize(
    "more",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
        {"background": True},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
    ],
)
def test_what_refers_to_a_kept_response_is_refused(more: dict[str, Any]) -> None:  # C1
    error = refused("responses", **more)
    assert error.code == "unsupported_parameter"
    assert "keeps n" in str(error)


def test_a_response_is_never_stored() -> None:
    assert check("responses", store=True)[0]["store"] is False
    assert check("responses", background=False)[0]["background"] is False


# --- what routing reads ---


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("chat", {"messages": [{"role": "system", "content": "no"}, {"role": "user", "content": "a"},
                               {"role": "user", "content": [{"type": "text", "text": "b"}]}]}, "a\nb"),
        ("text", {"prompt": ["a", "b"]}, "a\nb"),
        ("text", {"prompt": [1, 2]}, ""),
        ("messages", {"system": "no", "messages": [
                      {"role": "user", "content": "a"}, {"role": "assistant", "content": "no"},
                      {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "tool_result",
                       "content": "no"}]}]}, "a\nb"),
        ("responses", {"input": "a", "instructions": "no"}, "a"),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]},
                                 {"type": "function_call_output", "output": "no"}, {"role": "user", "content": "b"}]},
         "a\nb"),
        ("embedding", {"input": "a"}, ""),
    ],
)  # fmt: skip
def test_routing_reads_what_users_wrote(kind: Kind, body: dict[str, Any], text: str) -> None:
    params, _ = check(kind, **body)
    assert user_text(kind, params, DEFAULT_LIMITS) == text
