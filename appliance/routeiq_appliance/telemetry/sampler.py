"""Decides which calls are traced: OpenTelemetry's samplers by their standard names."""

from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBasedTraceIdRatio,
    Sampler,
    TraceIdRatioBased,
)

from routeiq_appliance.errors import ConfigError

__all__ = ["make_sampler"]

_PLAIN = {
    "always_on": ALWAYS_ON,
    "always_off": ALWAYS_OFF,
    "parentbased_always_on": DEFAULT_ON,
    "parentbased_always_off": DEFAULT_OFF,
}
_RATIO = {"traceidratio": TraceIdRatioBased, "parentbased_traceidratio": ParentBasedTraceIdRatio}


def make_sampler(name: str, argument: str) -> Sampler:
    """Return the sampler of OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG; raises `ConfigError`."""
    if name in _PLAIN:
        return _PLAIN[name]
    if name not in _RATIO:
        raise ConfigError(
            f"OTEL_TRACES_SAMPLER: {name[:64]!r} is unknown",
            subject="OTEL_TRACES_SAMPLER",
            hint="one of " + ", ".join([*_PLAIN, *_RATIO]),
        )
    try:
        ratio = float(argument or "1")
        if not 0 <= ratio <= 1:  # nan is neither
            raise ValueError
        return _RATIO[name](ratio)
    except ValueError:
        raise ConfigError(
            f"OTEL_TRACES_SAMPLER_ARG: {argument[:32]!r} is not a number from 0 to 1",
            subject="OTEL_TRACES_SAMPLER_ARG",
        ) from None
