"""Step 2: whether a call may start: room in the ledger and on this worker, then every limit of its scopes at once.

What a call may use is estimated from above (`Estimator`) and reserved until it is settled: bytes / 3 tokens in, and
`max_tokens` out, at the dearest deployment that could answer. The shared state decides and counts
(`state.shared.interface` has the rules); here its verdict becomes an answer for the caller.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.dialects import DIALECTS
from routeiq_appliance.pipeline.types import AUTO, Call, Deployment, Price, Principal
from routeiq_appliance.state.shared.interface import Admission, Refusal, Scope, Standing

__all__ = ["Estimator", "Room", "admission_of", "admit_size", "ratelimit_headers", "require_room", "too_much"]

_BYTES_PER_TOKEN = 3
_SECONDS_ESTIMATED = 60
"""What a call priced per second is taken to last; a longer one overshoots by the rest."""
_FREE = Price()


def admit_size(size: int, *, maximum: int) -> None:
    """Raise `CallError` 413 when a body of `size` bytes is too large."""
    if size > maximum:
        raise CallError(413, f"the request body is larger than {maximum} bytes", code="request_too_large")


@dataclass(slots=True)
class Room:
    """Calls under way on this worker; `maximum` 0 is no limit (G7)."""

    maximum: int
    running: int = 0


def require_room(room: Room, *, ledger_has_room: bool) -> None:
    """Raise `CallError` 503 when this worker is full, or when the call could not be accounted for."""
    if not ledger_has_room:
        raise CallError(
            503,
            "the ledger has no room: the database or the disk has not taken rows for a while",
            kind="server_error",
            code="ledger_full",
            retry_after=5,
        )
    if room.maximum and room.running >= room.maximum:
        raise CallError(
            503,
            "the gateway is at its limit of running calls",
            kind="server_error",
            code="overloaded",
            retry_after=1,
        )


class Estimator:
    """Knows each group's dearest price; one per configuration. `output_tokens` is assumed and the cap."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[Deployment]],
        candidates: Iterable[str],
        *,
        output_tokens: int,
        lease_seconds: float,
    ) -> None:
        self._dearest = {name: _dearest(members) for name, members in groups.items()}
        self._dearest[AUTO] = _dearest([d for name in candidates for d in groups[name]])
        self._output_tokens = output_tokens
        self.lease_seconds = lease_seconds

    def estimate(self, call: Call) -> tuple[int, int]:
        """Return tokens and pico-dollars that the call may use, from above."""
        params = call.params
        tokens_in = call.request_bytes // _BYTES_PER_TOKEN
        tokens_out = 0
        dialect = DIALECTS[call.kind]
        if dialect.generates:
            asked = params.get("max_completion_tokens") or params.get(dialect.wanted) or self._output_tokens
            tokens_out = min(asked, self._output_tokens) * params.get("n", 1)
        price = self._dearest.get(call.asked)
        cost = 0
        if price is not None:
            cost = (
                price.input_token * tokens_in
                + price.output_token * tokens_out
                + price.second * _SECONDS_ESTIMATED
                + price.call
            )
        return tokens_in + tokens_out, cost


def admission_of(call: Call, principal: Principal, estimator: Estimator) -> Admission:
    """Return what the shared state is asked."""
    tokens, cost = estimator.estimate(call)
    return Admission(call.id, principal.scopes, tokens, cost, estimator.lease_seconds)


def too_much(refusal: Refusal) -> CallError:
    """Return the 429 (503 when nobody can tell) for a refusal, with `Retry-After` where waiting helps."""
    whose = refusal.scope.partition(":")[0]
    if "/model:" in refusal.scope:
        whose = f"key on model `{refusal.scope.partition('/model:')[2]}`"
    if refusal.kind == "unknown":
        return CallError(
            503,
            f"what this {whose} has used is not known at the moment, and it is set to be refused then",
            kind="server_error",
            code="limits_unknown",
            retry_after=5,
        )
    after = None if refusal.retry_after is None else max(1, math.ceil(refusal.retry_after))
    if refusal.kind == "budget":
        return CallError(
            429,
            f"the budget of this {whose} is spent",
            kind="insufficient_quota",
            code="budget_exceeded",
            retry_after=after,
        )
    said = {
        "requests": f"{refusal.limit} requests per minute",
        "tokens": f"{refusal.limit} tokens per minute",
        "parallel": f"{refusal.limit} parallel requests",
    }[refusal.kind]
    return CallError(
        429,
        f"the limit of this {whose} is reached: {said}",
        kind="rate_limit_error",
        code="rate_limit_exceeded",
        retry_after=after,
    )


def ratelimit_headers(scopes: Sequence[Scope], standings: Sequence[Standing]) -> list[tuple[bytes, bytes]]:
    """Return `x-ratelimit-*` as OpenAI names them, of the scope with the least left."""
    headers: list[tuple[bytes, bytes]] = []
    requests = tokens = None
    for standing in standings:
        left = standing.remaining_requests
        if left is not None and (requests is None or left < (requests.remaining_requests or 0)):
            requests = standing
        left = standing.remaining_tokens
        if left is not None and (tokens is None or left < (tokens.remaining_tokens or 0)):
            tokens = standing
    for scope in scopes:
        if requests is not None and scope.name == requests.scope:
            headers += _told(b"requests", scope.rpm, requests.remaining_requests or 0, requests.reset_seconds)
        if tokens is not None and scope.name == tokens.scope:
            headers += _told(b"tokens", scope.tpm, tokens.remaining_tokens or 0, tokens.reset_seconds)
    return headers


def _told(what: bytes, limit: int | None, left: int, seconds: float) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-ratelimit-limit-" + what, b"%d" % (limit or 0)),
        (b"x-ratelimit-remaining-" + what, b"%d" % max(0, left)),
        (b"x-ratelimit-reset-" + what, b"%ds" % math.ceil(max(0.0, seconds))),
    ]


def _dearest(deployments: Sequence[Deployment]) -> Price:
    prices = [deployment.price or _FREE for deployment in deployments]
    if not prices:
        return _FREE
    return Price(
        max(p.input_token for p in prices),
        max(p.output_token for p in prices),
        max(p.second for p in prices),
        max(p.call for p in prices),
    )
