"""What no caller may choose, in any dialect: addresses, credentials, files, callbacks. Pure.

Most upstreams would not act on these names, but LiteLLM takes them as keywords, and a server behind us would fetch an
address for its caller. So they are refused at the door, before anything is relayed. What the caller's own tools are
called with, and where a text was found, is data that nobody dials.
"""

import re
from typing import Any

from routeiq_appliance.api.fields.checks import bad

__all__ = ["is_forbidden", "require_no_addresses"]

_FORBIDDEN = re.compile(
    r"(api|arize|aws|azure|base|callback|failure|gcs|humanloop|langfuse|langsmith|litellm|lunary|mock|oci|posthog|proxies"
    r"|proxy|s3|success|vertex|watsonx|webhook)_.*"
    r"|.*_(api_key|base|bucket_name|callbacks?|credentials|endpoint|fallbacks|host|hostname|password|secret|secret_key"
    r"|service_account|token_provider|uris?|urls?)"
    r"|(authorization|callbacks?|client|connector_id|credentials|custom_llm_provider|custom_prompt_dict|endpoint"
    r"|extra_body|extra_headers|extra_query|fallbacks|files?|file_ids?|headers|host|hostname|http_client|max_retries"
    r"|mcp_servers|model_list|num_retries|organization|password|project|proxies|proxy|secret|ssl_verify|timeout|uris?"
    r"|urls?|user_config|webhook)"
    # vLLM connects to the host that these name.
    r"|[ek][cv]_transfer_params"
)
_ALLOWED = frozenset({"dry_base"})  # a sampler's number (llama.cpp)
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_WORD = re.compile(r"[^a-z0-9]+")

_ADDRESS = ("uri", "url", "uris", "urls")
_MEDIA = frozenset({"audio", "document", "file", "image", "images", "pdf", "video"})
_SCHEME = re.compile(r"\s*[a-z][a-z0-9+.-]{1,15}://", re.IGNORECASE)
_FILES = frozenset({"connector_id", "file_id", "file_ids"})
# By the type of an object: what in it is the caller's own data. By name: where texts were found.
_ARGUMENTS = {"tool_use": "input", "function_call": "arguments", "custom_tool_call": "input"}
_FOUND = frozenset({"annotations", "citations"})


def is_forbidden(name: str) -> bool:
    """Whether a field that the dialect does not know could steer where the gateway calls, or as whom.

    However it is written: `apiBase`, `API-BASE` and ` api.base` are `api_base`.
    """
    plain = _NO_WORD.sub("_", _WORD.sub("_", name).lower()).strip("_")
    return plain not in _ALLOWED and _FORBIDDEN.fullmatch(plain) is not None


def require_no_addresses(value: Any, where: str, *, contents: bool = True) -> None:
    """Raise `CallError` 400 for an address or a stored file anywhere in `value`; `data:` URLs are data.

    `contents`: the value is what a model is shown. Elsewhere a `url` alone may say where a document is from.
    """
    if isinstance(value, list):
        for number, item in enumerate(value):
            require_no_addresses(item, f"{where}[{number}]", contents=contents)
        return
    if not isinstance(value, dict):
        return
    kind = value.get("type")
    data = _ARGUMENTS.get(kind) if isinstance(kind, str) else None
    for name, item in value.items():
        if name == data or name in _FOUND:
            continue
        plain = name.lower()
        inner = (f"{where}.{name}" if where else name)[:256]
        address = plain.endswith(_ADDRESS) and (contents or kind is not None or plain not in _ADDRESS)
        for text in item if isinstance(item, list) else (item,):
            if isinstance(text, str) and (
                (address and text[:5].lower() != "data:") or (plain in _MEDIA and _SCHEME.match(text))
            ):
                raise bad(f"`{inner}` must be a `data:` URL: the gateway fetches nothing for a caller", inner)
        if plain in _FILES and item is not None:
            raise bad(f"`{inner}` is not supported: send the file's data", inner)
        if isinstance(item, dict | list):
            require_no_addresses(item, inner, contents=contents or address)
