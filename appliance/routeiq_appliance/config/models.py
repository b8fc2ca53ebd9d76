"""The schema of `config.yaml`: LiteLLM's sections, and `routeiq:` of our own.

`routeiq:` is strict. What the gateway does not act on in LiteLLM's sections is accepted, so that a site can bring its
file, and listed by `config.ignored`: nothing is silently taken for done.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, PrivateAttr

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

    @property
    def variables(self) -> Mapping[str, str]:
        """What `os.environ/NAME` stands for in `model_list`, by name."""
        return self._variables

    def with_variables(self, found: Mapping[str, str]) -> "GatewayConfig":
        """Return the same configuration, which knows what its variables stand for."""
        copy = self.model_copy()
        copy._variables = dict(found)
        return copy

    @property
    def router(self) -> RouterSettings:
        """`router_settings`, or the defaults."""
        return self.router_settings or RouterSettings()

    @property
    def litellm(self) -> LitellmSettings:
        """`litellm_settings`, or the defaults."""
        return self.litellm_settings or LitellmSettings()
