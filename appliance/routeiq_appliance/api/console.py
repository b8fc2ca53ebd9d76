"""Serves the console's static files at `/ui/`: from one folder, read-only, nothing outside it, nothing from outside.

The files take a key as the password of HTTP Basic, since no route but liveness and readiness is open. The management
API takes none of that: a browser attaches such a password by itself, to whatever asks for it, so a foreign page could
act with it. The console asks for a key in a form and sends it as a bearer token, which no browser adds.
"""

from pathlib import Path

from routeiq_appliance.api.http import Headers, Request
from routeiq_appliance.errors import CallError

__all__ = ["ConsoleRoutes"]

_TYPES = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".ico": b"image/x-icon",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
    ".woff2": b"font/woff2",
}
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS: Headers = [
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),
]
_PREFIX = "/ui/"


class ConsoleRoutes:
    """Lists the files once at start: a path is looked up, never joined."""

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, Path] = {}
        if folder.is_dir():
            for path in sorted(folder.rglob("*")):
                if path.is_file() and not path.is_symlink() and path.suffix in _TYPES:
                    self._files[path.relative_to(folder).as_posix()] = path

    async def serve(self, request: Request, _principal: object) -> None:
        """`GET /ui/…`; a folder's `index.html` for its path."""
        name = request.path.removeprefix(_PREFIX) if request.path.startswith(_PREFIX) else ""
        path = self._files.get(name) or self._files.get(
            f"{name}index.html" if name.endswith("/") or not name else ""
        )
        if path is None:
            raise CallError(404, "there is no such page", code="not_found")
        data = path.read_bytes()
        await request.start(
            200, _TYPES[path.suffix], [*_HEADERS, (b"content-length", str(len(data)).encode())]
        )
        await request.write(data, last=True)
