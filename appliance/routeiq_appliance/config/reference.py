"""Renders the tables of docs/configuration.md from the models, so that no variable or key is hidden.

`python -m routeiq_appliance.config.reference` prints them; a test compares them with the file.
"""

import sys
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.config.values import own_first
from routeiq_appliance.settings import SECRETS, Settings

__all__ = ["render_keys", "render_variables"]


def render_variables() -> str:
    """Return the table of environment variables."""
    rows = ["| variable | default | meaning |", "|-|-|-|"]
    rows += [
        f"| `{f.alias}`{' (secret)' if f.alias in SECRETS else ''} | {_default(f)} | {f.description} |"
        for f in Settings.model_fields.values()
    ]
    return "\n".join(rows) + "\n"


def render_keys() -> str:
    """Return the table of keys of config.yaml."""
    rows = ["| key | default | meaning |", "|-|-|-|"]
    rows += [
        f"| `{path}` | {_default(field)} | {field.description} |" for path, field in _walk(GatewayConfig, "")
    ]
    return "\n".join(rows) + "\n"


def _walk(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in own_first(model):
        inner = next((a for a in (field.annotation, *get_args(field.annotation)) if _is_model(a)), None)
        listed = "[]" if get_origin(field.annotation) is list else ""
        yield f"{prefix}{name}", field
        if inner is not None:
            yield from _walk(inner, f"{prefix}{name}{listed}.")


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "none"
    if isinstance(field.default, BaseModel):
        return ""
    if isinstance(field.default, list):
        return ", ".join(f"`{item}`" for item in field.default)
    return f"`{field.default}`" if field.default != {} else "none"


if __name__ == "__main__":
    sys.stdout.write(render_variables() + "\n" + render_keys())
