"""The schema of `config.yaml`: LiteLLM's sections, and `routeiq:` of our own.

`routeiq:` is strict. What the gateway does not act on in LiteLLM's sections is accepted, so that a site can bring its
file, and listed by `config.ignored`: nothing is silently taken for done.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ModelWrapValidatorHandler, PrivateAttr, model_validator

from routeiq_appliance.config.explained import SECTIONS
from routeiq_appliance.config.model_list import LitellmParams, ModelEntry, ModelInfo
from routeiq_appliance.config.routeiq_section import AutoSection, Deadlines, LimitsSection, RouteIQSection
from routeiq_appliance.config.sections import GeneralSettings, LitellmSettings, RouterSettings
from routeiq_appliance.config.values import Strict

__all__ = [
    "IGNORED_SECTIONS",
    "AutoSection",
    "Deadlines",
    "GatewayConfig",
    "GeneralSettings",
    "LimitsSection",
    "LitellmParams",
    "LitellmSettings",
    "ModelEntry",
    "ModelInfo",
    "RouteIQSection",
    "RouterSettings",
]

IGNORED_SECTIONS = ("general_settings", "environment_variables")
"""Sections of which nothing is acted on."""


class GatewayConfig(Strict):
    """The whole file."""

    model_list: Annotated[list[ModelEntry], Field(min_length=1, description="The deployments")]
    router_settings: Annotated[
        RouterSettings | None,
        Field(description="How a group's deployments are balanced, retried and replaced"),
    ] = None
    litellm_settings: Annotated[
        LitellmSettings | None, Field(description="The same and more, where LiteLLM accepts it too")
    ] = None
    general_settings: Annotated[
        GeneralSettings | None,
        Field(description="Accepted, not acted on: the master key and the database are the environment's"),
    ] = None
    environment_variables: Annotated[
        dict[str, Any] | None,
        Field(description="Accepted, not acted on: set them where the gateway is started"),
    ] = None
    routeiq: Annotated[RouteIQSection, Field(description="What only this gateway knows")] = RouteIQSection()

    _variables: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _others: tuple[str, ...] = PrivateAttr(default=())

    @model_validator(mode="wrap")
    @classmethod
    def _of_litellm(cls, values: Any, handler: ModelWrapValidatorHandler["GatewayConfig"]) -> "GatewayConfig":
        """Accept LiteLLM's further sections, so that a site can bring its file."""
        if not isinstance(values, dict):
            return handler(values)
        others = [name for name in values if name in SECTIONS and name not in cls.model_fields]
        made = handler({name: value for name, value in values.items() if name not in others})
        made._others = tuple(others)  # noqa: SLF001 - of this class
        return made

    @property
    def others(self) -> tuple[str, ...]:
        """LiteLLM's sections that were given and of which nothing is acted on, beside `IGNORED_SECTIONS`."""
        return self._others

    @property
    def variables(self) -> Mapping[str, str]:
        """What `os.environ/NAME` stands for in `model_list`, by name."""
        return self._variables

    def with_variables(self, found: Mapping[str, str]) -> "GatewayConfig":
        """Return the same configuration, which knows what its variables stand for."""
        copy = self.model_copy()
        copy._variables = dict(found)  # noqa: SLF001 - its own class
        return copy

    @property
    def router(self) -> RouterSettings:
        """`router_settings`, or the defaults."""
        return self.router_settings or RouterSettings()

    @property
    def litellm(self) -> LitellmSettings:
        """`litellm_settings`, or the defaults."""
        return self.litellm_settings or LitellmSettings()
