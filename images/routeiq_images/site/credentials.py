"""Credentials for a registry from Docker's configuration, as `docker login` or `podman login` left them.

Looked for in $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json, ~/.docker/config.json and podman's auth.json, in this
order; helpers (`credHelpers`, `credsStore`) are asked over their standard input. Nothing is ever printed.
"""

import base64
import binascii
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routeiq_images.errors import ImagesError

__all__ = ["Credentials", "find_credentials"]

_MAX_CONFIG = 1 << 20


@dataclass(frozen=True, repr=False)
class Credentials:
    """A user and a secret; `<token>` as user means an identity token (OAuth2 refresh token)."""

    user: str
    secret: str


def find_credentials(host: str, environ: Mapping[str, str]) -> Credentials | None:
    """Return the credentials for `host` (name:port), or None for anonymous access. Raises `ImagesError`."""
    for path in _config_files(environ):
        if not path.is_file():
            continue
        if path.stat().st_size > _MAX_CONFIG:
            raise ImagesError(f"{path}: too large for a Docker configuration", subject=str(path))
        try:
            config = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise ImagesError(f"{path}: not JSON: {error}", subject=str(path)) from error
        try:
            found = _in_config(config, host, path)
        except (AttributeError, TypeError) as error:
            raise ImagesError(
                f"{path}: not in the form of a Docker configuration", subject=str(path)
            ) from error
        if found:
            return found
    return None


def _config_files(environ: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environ.get("HOME", "/"))
    if environ.get("REGISTRY_AUTH_FILE"):
        yield Path(environ["REGISTRY_AUTH_FILE"])
    yield Path(environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    if environ.get("XDG_RUNTIME_DIR"):
        yield Path(environ["XDG_RUNTIME_DIR"]) / "containers" / "auth.json"
    yield home / ".config" / "containers" / "auth.json"


def _in_config(config: dict[str, Any], host: str, path: Path) -> Credentials | None:
    helper = config.get("credHelpers", {}).get(host) or None
    entry = config.get("auths", {}).get(host)
    if helper is None and entry is None:
        helper = config.get("credsStore")
    if helper:
        return _ask_helper(str(helper), host)
    if not isinstance(entry, dict):
        return None
    if entry.get("identitytoken"):
        return Credentials("<token>", str(entry["identitytoken"]))
    try:
        user, _, secret = base64.b64decode(entry.get("auth", ""), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ImagesError(f"{path}: the entry of {host} is not base64", subject=str(path)) from error
    return Credentials(user, secret) if user else None


def _ask_helper(helper: str, host: str) -> Credentials | None:
    """Ask `docker-credential-<helper>` (docker/docker-credential-helpers protocol)."""
    if "/" in helper:
        raise ImagesError(f"{helper}: no name of a credential helper", subject=helper)
    try:
        result = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=host,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        answer = json.loads(result.stdout) if result.returncode == 0 else {}
        return Credentials(str(answer["Username"]), str(answer["Secret"])) if answer.get("Username") else None
    except (OSError, subprocess.TimeoutExpired, ValueError, RecursionError) as error:
        raise ImagesError(f"docker-credential-{helper}: does not answer", subject=helper) from error
    except (AttributeError, KeyError, TypeError) as error:
        raise ImagesError(f"docker-credential-{helper}: answers something else", subject=helper) from error
