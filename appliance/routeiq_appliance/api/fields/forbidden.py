"""What no caller may choose, in any dialect: addresses, credentials, files, callbacks. Pure.

Most upstreams would not act on these names, but LiteLLM takes them as keywords, and a server behind us would fetch an
address for its caller. So they are refused at the door, before anything is relayed.
"""

import re
from typing import Any

from routeiq_appliance.api.fields.checks import bad

__all__ = ["is_forbidden", "require_no_addresses"]

_FORBIDDEN = re.compile(
    r"(api|base|azure|aws|vertex|watsonx|oci|mock|litellm|proxy|proxies|callback|webhook|success|failure|input)_"
    r"(?!cost|audio|reference)|.*_(callback|callbacks|url|base|token_provider|credentials)$"
    r"|(client|proxy|proxies|callback|webhook|callbacks|headers|extra_headers|extra_query|extra_body|model_list|fallbacks|organization|project"
    r"|custom_llm_provider|mcp_servers|server_url|ssl_verify|timeout|max_retries|num_retries|custom_prompt_dict)$"
)
_ADDRESSES = frozenset({"file_url", "image_url", "server_url", "url"})
_FILES = frozenset({"file_id", "connector_id"})


def is_forbidden(name: str) -> bool:
    """Whether a field that the dialect does not know could steer where the gateway calls, or as whom."""
    return _FORBIDDEN.match(name.lower()) is not None


def require_no_addresses(value: Any, where: str) -> None:
    """Raise `CallError` 400 for an address or a stored file anywhere in `value`; `data:` URLs are data."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            require_no_addresses(item, f"{where}[{number}]")
        return
    if not isinstance(value, dict):
        return
    for name, item in value.items():
        inner = f"{where}.{name}"[:256]
        if name in _ADDRESSES and isinstance(item, str) and item[:5].lower() != "data:":
            raise bad(f"`{inner}` must be a `data:` URL: the gateway fetches nothing for a caller", inner)
        if name in _FILES and item is not None:
            raise bad(f"`{inner}` is not supported: send the file's data", inner)
        require_no_addresses(item, inner)
