"""The plain data that the steps of a call hand to each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from routeiq_appliance.cache.wish import CacheWish
from routeiq_appliance.egress.destinations import Destination
from routeiq_appliance.policy.ruling import Ruling
from routeiq_appliance.routing.why import Why
from routeiq_appliance.state.shared.interface import Scope
from routeiq_router.objective import Objective

__all__ = [
    "AUTO",
    "GENERATES",
    "Attempt",
    "Call",
    "Decision",
    "Deployment",
    "Kind",
    "Mode",
    "ModelAllowance",
    "Price",
    "Principal",
    "Tally",
    "Upload",
    "Wishes",
]

AUTO = "auto"
"""The model name that asks the gateway to choose a group."""

Kind = Literal[
    "chat", "text", "embedding", "messages", "count_tokens", "responses", "rerank", "moderation", "image", "speech",
    "transcription",
]  # fmt: skip
"""What is asked, in which dialect: `chat`, `text` (completions), `responses` and the rest are OpenAI's, `messages` and
`count_tokens` Anthropic's."""
Mode = Literal[
    "chat", "completion", "embedding", "responses", "rerank", "moderation", "image_generation", "audio_speech",
    "audio_transcription",
]  # fmt: skip
"""What a deployment answers, as LiteLLM names it."""
GENERATES: frozenset[Mode | None] = frozenset({None, "chat", "completion", "responses"})
"""Modes of deployments that write text."""


@dataclass(frozen=True, slots=True)
class ModelAllowance:
    """A key's own limits on one group; `budget` in pico-dollars."""

    rpm: int | None = None
    tpm: int | None = None
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. `models` empty means every group; `scopes` are the key's and those of all it belongs to."""

    key_id: str
    is_admin: bool = False
    """Whether every management path is open: the master key, and keys with that role."""
    models: frozenset[str] = frozenset()
    team_models: frozenset[str] = frozenset()
    """What all that the key belongs to allow together; empty: no restriction."""
    team_id: str | None = None
    user_id: str | None = None
    scopes: tuple[Scope, ...] = ()
    model_limits: Mapping[str, ModelAllowance] = field(default_factory=dict)
    strategy: str | None = None
    """The key's routing strategy, else its team's (`metadata.routeiq.strategy`)."""
    organization_id: str | None = None
    """The team's organization, else the key's."""
    role: Literal["admin", "viewer"] | None = None
    """What the key may do in management (`pipeline.roles`); None: see itself."""
    calls: bool = True
    """Whether it may call models."""
    manages: bool = True
    """Whether it may use any management path."""
    key_alias: str | None = None
    team_alias: str | None = None
    objective: Objective | None = None
    """The key's objective for `auto`, else its team's (`metadata.routeiq.objective`)."""


@dataclass(frozen=True, slots=True)
class Price:
    """Pico-dollars; per token, per second of the call, per call. Any may be zero; all absent is no `Price`."""

    input_token: int = 0
    output_token: int = 0
    second: int = 0
    call: int = 0


@dataclass(frozen=True, slots=True)
class Deployment:
    """One upstream server with one model. `params` hold its credential: they are never shown."""

    id: str
    group: str
    mode: Mode | None
    params: dict[str, Any] = field(repr=False)
    destination: Destination | None
    upstream: Literal["direct", "litellm"]
    provider: str
    """The part before the `/` of LiteLLM's model name: `openai`, `hosted_vllm`, …"""
    model: str
    """The name that the upstream knows."""
    connect_timeout: float
    """Seconds until a connection stands."""
    timeout: float
    """Seconds for a whole answer, from the first attempt's start."""
    first_token_timeout: float
    """Seconds until the first event of a stream."""
    stream_timeout: float
    """Seconds between two events of a stream."""
    retries: int
    """Further attempts in this deployment's group after the first."""
    price: Price | None = None
    """None: unpriced; its calls are marked so, never counted as free."""
    rpm: int | None = None
    tpm: int | None = None
    parallel: int | None = None
    weight: float = 1.0
    order: int = 0
    """Lower comes first, before any balancing."""
    tags: frozenset[str] = frozenset()
    given: Destination | None = None
    """The destination, when a user gave it: each dial is judged (`egress.given`)."""
    kinds: frozenset[str] | None = None
    """Kinds of calls that the server answers in their own dialect; None: not known, so it is tried."""
    can: Mapping[str, bool] = field(default_factory=dict)
    """What it says of itself, by the names of `routing.capabilities.FLAGS`; what is not in it is not known."""
    max_input_tokens: int | None = None
    """Its context window."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a caller says about routing, beside the model: headers and `metadata`, none of it binding."""

    hint: str | None = None
    strategy: str | None = None
    conversation: str | None = None
    tags: frozenset[str] = frozenset()
    objective: Objective | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """A caller's file, in memory: never written, and never opened by a name that the caller gave."""

    name: str
    content_type: str
    data: bytes = field(repr=False)


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Call:
    """One request, validated and free of any dialect's envelope.

    `params` hold the dialect's names only; `extra` what the configuration relays beyond them.
    """

    id: str
    kind: Kind
    asked: str
    params: dict[str, Any]
    extra: dict[str, Any]
    stream: bool
    include_usage: bool
    prompt: str
    """The users' text, for routing."""
    request_bytes: int
    started_at: datetime
    wishes: Wishes = field(default_factory=Wishes)
    trace_headers: Mapping[str, str] = field(default_factory=dict)
    """`traceparent`, `tracestate`, `b3` … as the caller sent them."""
    file: "Upload | None" = None
    """What a transcription is made of."""
    ruling: Ruling | None = None
    """What the policy says of the call; `asked` is then the model that it wants. None: there is no policy."""
    cache: CacheWish | None = None
    """What the caller says about the cache; None: nothing, or there is none."""


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Decision:
    """Which group and deployments answer, and why."""

    group: str
    deployments: tuple[Deployment, ...]
    """In the order to try them."""
    strategy: str
    score: float | None
    ranking: tuple[tuple[str, float | None], ...]
    reason: str
    artifact: str | None
    seconds: float
    balancing: str = ""
    """The balancing strategy that ordered the deployments."""
    passed_over: tuple[tuple[str, str], ...] = ()
    """Deployments that were not candidates, with the reason: breaker open, tags, limits."""
    why: Why | None = None
    """Of a choice among the candidates of `auto`; None for a group that was asked for."""


@dataclass(slots=True)  # not frozen: made per call, and that would cost a microsecond
class Attempt:
    """One try of one deployment, for the ledger and the trace."""

    deployment: Deployment
    outcome: str
    """`answered`, or the code of the error."""
    seconds: float


@dataclass(slots=True)
class Tally:
    """What a call has used so far; filled by call and relay, read by settle."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    counted: bool = False
    """Whether the numbers are the upstream's."""
    text_bytes: int = 0
    worked: bool = False
    """Whether an upstream has worked for the call: it answered, or was cut off while it did."""
    status: int = 500
    outcome: str = "failed"
    deployment: Deployment | None = None
    """The one that answers."""
    attempts: list[Attempt] = field(default_factory=list)
    first_token_seconds: float | None = None
    cached: dict[str, Any] | None = None
    """What the decision's record says of an answer from the cache; nobody was called for it."""
