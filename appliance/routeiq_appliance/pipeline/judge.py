"""Between authentication and admission: the policy judges a call, and one that is denied leaves a row all the same.

What rules say is `policy`'s. A denied call reserves nothing, and an auditor finds it in the ledger like any other.
"""

from collections.abc import Callable

from routeiq_appliance.pipeline.types import Call, Principal
from routeiq_appliance.policy.gate import PolicyGate
from routeiq_appliance.telemetry.metrics import Metrics

__all__ = ["judged"]


def judged(
    policy: PolicyGate, principal: Principal, call: Call, metrics: Metrics, denied: Callable[[int, str], None]
) -> None:
    """Judge the call; raises `CallError` 403 after `denied` was told the status and the outcome."""
    ruling = policy.judge(principal, call)
    metrics.judged(ruling.action, ruling.seconds)
    refusal = ruling.refusal()
    if refusal is not None:
        denied(refusal.status, refusal.code or refusal.kind)
        raise refusal
