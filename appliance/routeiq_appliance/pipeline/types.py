"""The plain data that the steps of a call hand to each other."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from routeiq_appliance.egress.destinations import Destination

__all__ = ["AUTO", "Call", "Decision", "Deployment", "Kind", "Principal", "Tally"]

AUTO = "auto"
"""The model name that asks the gateway to choose a group."""

Kind = Literal["chat", "text", "embedding"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. `models` empty means every group."""

    key_id: str
    is_admin: bool = False
    models: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Deployment:
    """One upstream server with one model. `params` hold its credential: they are never shown."""

    id: str
    group: str
    mode: Literal["chat", "completion", "embedding"] | None
    params: dict[str, Any] = field(repr=False)
    destination: Destination | None
    timeout: float
    """Seconds for a whole answer."""
    stream_timeout: float
    """Seconds until the first event of a stream, and between two."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, validated and free of any dialect's envelope.

    `params` hold OpenAI's names only; `extra` what the configuration relays beyond them.
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


@dataclass(frozen=True, slots=True)
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

    @property
    def deployment(self) -> Deployment:
        """The deployment to call first."""
        return self.deployments[0]


@dataclass(slots=True)
class Tally:
    """What a call has used so far; filled by call and relay, read by settle."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    counted: bool = False
    """Whether the numbers are the upstream's."""
    text_bytes: int = 0
    status: int = 500
    outcome: str = "failed"
