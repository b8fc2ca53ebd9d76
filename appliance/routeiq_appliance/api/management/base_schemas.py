"""What all bodies and queries have alike: LiteLLM's names; a field that cannot be enforced is refused by name."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from routeiq_appliance.api.management.fields import Count, Dollars, Duration, Email, Metadata, Name, Parallel

__all__ = ["Body", "Checked", "LimitFields", "Limits", "Somebody"]


class Checked(BaseModel):
    """What a request gives: no unknown field; those in `refused` are LiteLLM's, and not enforced."""

    model_config = ConfigDict(extra="forbid")
    refused: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _unset_is_absent(cls, body: Any) -> Any:
        """Take a field that is not enforced for absent when it asks for nothing: clients send the whole form."""
        if not isinstance(body, dict):
            return body
        return {
            name: value for name, value in body.items() if name not in cls.refused or not _asks_nothing(value)
        }


class Body(Checked):
    """A body: JSON's own types."""

    model_config = ConfigDict(strict=True)


class Limits(Body):
    """The limits that all have alike; null is no limit."""

    rpm_limit: Annotated[Count | None, Field(description="Requests a minute")] = None
    tpm_limit: Annotated[Count | None, Field(description="Tokens a minute")] = None
    max_parallel_requests: Annotated[Parallel | None, Field(description="Calls at the same time")] = None
    max_budget: Annotated[Dollars | None, Field(description="Dollars that may be spent in a period")] = None
    budget_duration: Annotated[
        Duration | None,
        Field(description="The budget's period, from when it is set; none: one budget for ever"),
    ] = None


class LimitFields(Limits):
    """What keys, teams, users and organizations have alike."""

    budget_id: Annotated[
        Name | None, Field(description="A named budget: it says what the fields above leave open")
    ] = None
    blocked: bool | None = None
    metadata: Annotated[
        Metadata | None,
        Field(
            description="Kept; `routeiq.strategy`, `routeiq.objective` and (keys) `routeiq.fail_closed` are acted on"
        ),
    ] = None


class Somebody(Body):
    """Names a user."""

    user_id: Name | None = None
    user_email: Annotated[
        Email | None, Field(description="Of a user that exists, unless `user_id` is given")
    ] = None

    @model_validator(mode="after")
    def _named(self) -> "Somebody":
        if self.user_id is None and self.user_email is None:
            raise PydanticCustomError("missing", "`user_id` or `user_email` is missing")
        return self


def _asks_nothing(value: Any) -> bool:
    return (
        value is None
        or value is False
        or value == "false"
        or (isinstance(value, list | dict | str) and not value)
    )
