"""Orders versions as each kind of package does: PEP 440, Debian policy 5.6.12, semantic versioning 2.0.

The order is always a library's; this module only picks it and turns its complaints into one error.
"""

from routeiq_vendor.errors import LockError

__all__ = ["compare"]

_MAX = 200  # characters; no real version is longer


def compare(kind: str, one: str, two: str) -> int:
    """Return -1, 0 or 1 as version `one` is older than, the same as or newer than `two`.

    `kind` is `pypi`, `deb` or `npm`. Raises `LockError` for what is no version of that kind.
    """
    if max(len(one), len(two)) > _MAX:
        raise LockError(f"{max(one, two, key=len)[:40]}…: no version is that long")
    if kind == "deb":
        return _debian(one, two)
    if kind == "npm":
        return _semver(one, two)
    if kind == "pypi":
        return _python(one, two)
    raise LockError(f"{kind}: no order of versions is known for it", subject=kind)


def _python(one: str, two: str) -> int:
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415  only the build host has it

    try:
        left, right = Version(one), Version(two)
    except InvalidVersion as error:
        raise LockError(f"{error}") from error
    return (left > right) - (left < right)


def _debian(one: str, two: str) -> int:
    from debian.debian_support import NativeVersion  # noqa: PLC0415  only the build host has it

    try:
        left, right = NativeVersion(one), NativeVersion(two)
    except ValueError as error:
        raise LockError(f"{error}") from error
    return int(left > right) - int(left < right)


def _semver(one: str, two: str) -> int:
    try:
        from semver import Version  # noqa: PLC0415  only the build host has it
    except ImportError as error:
        raise LockError(
            "comparing versions of npm packages needs the library semver",
            hint="run this where the build environment is: make venv",
        ) from error
    try:
        return Version.parse(one).compare(two)
    except (ValueError, TypeError) as error:
        raise LockError(f"{error}") from error
