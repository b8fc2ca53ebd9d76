"""Every maximum that the gateway puts on what it reads from outside, with units and reasons."""

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    config_bytes: int = 4 << 20
    """A configuration of ten thousand deployments stays below this."""
    config_nodes: int = 200_000
    """YAML nodes after aliases are expanded: aliases of aliases grow without bound."""
    request_head_bytes: int = 64 << 10
    """Request line and headers; nginx takes 32 KiB."""
    request_headers: int = 100
    request_head_seconds: float = 30.0
    """From the connection, or a head's first byte, to its last."""
    request_idle_seconds: float = 30.0
    """Between two pieces of a request's body."""
    request_body_seconds: float = 600.0
    """For a whole body: 50 MB at 700 kbit/s."""
    response_idle_seconds: float = 120.0
    """Until a caller who takes no byte of what waits for it is given up."""
    request_clock_seconds: float = 5.0
    """How often a connection looks at the time."""
    management_body_bytes: int = 1 << 20
    messages: int = 5_000
    """Messages of one chat call."""
    credential_bytes: int = 512
    """Longest key that is hashed and looked up."""
    key_cache_entries: int = 10_000
    key_cache_seconds: float = 10.0
    routing_prompt_chars: int = 20_000
    """What a routing strategy sees of a prompt: its end, where the question is. The embedder reads 128 tokens."""
    error_message_chars: int = 600
    """What a caller sees of an upstream's own refusal."""
    canary_seconds: float = 0.3
    pem_bytes: int = 64 << 10
    pepper_bytes: int = 1 << 10
    upstream_body_bytes: int = 256 << 20
    """An answer's body: embeddings of a long list reach tens of megabytes."""
    upstream_event_bytes: int = 16 << 20
    """One event of a stream: an image or audio part comes in one."""
    upstream_buffer_bytes: int = 64 << 10
    """Read ahead of a slow caller, per call."""
    upstream_keepalive_seconds: float = 4.0
    """How long an idle connection is kept: uvicorn, and so vLLM, closes after 5 s; a reused one must not be dying."""
    policy_bytes: int = 1 << 20
    """A document of policy rules in Redis: a thousand rules stay below this."""
    ledger_queue_rows: int = 50_000
    """Rows that wait for the database before calls are refused."""


DEFAULT_LIMITS = Limits()
