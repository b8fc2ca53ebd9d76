"""How a registry wants to be asked: anonymous, Basic, or a Bearer token from the place that it names.

Source: distribution-spec's token authentication. The credentials go to the registry's own host and to the realm of
its challenge, nowhere else; a realm without TLS is refused unless the registry itself is spoken to without.
"""

import base64
import re
from collections.abc import Generator, Iterator

import httpx

from routeiq_images.errors import ImagesError
from routeiq_images.site.credentials import Credentials

__all__ = ["RegistryAuth"]

_MAX_PORT = 65535
_PARAMETER = re.compile(r'([a-z_]+)="([^"]*)"')


class RegistryAuth(httpx.Auth):
    """Answers a 401 challenge once per request; keeps tokens by scope for this host."""

    def __init__(self, host: str, credentials: Credentials | None, *, plain_http: bool) -> None:
        self._host = host
        self._credentials = credentials
        self._plain_http = plain_http
        self._header: str | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See `httpx.Auth.auth_flow`; a request to another host carries no authorization."""
        if request.url.netloc.decode() != self._host:
            yield request
            return
        if self._header:
            request.headers["Authorization"] = self._header
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        scheme, _, rest = response.headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "basic" and self._credentials:
            pair = f"{self._credentials.user}:{self._credentials.secret}".encode()
            self._header = f"Basic {base64.b64encode(pair).decode()}"
        elif scheme.lower() == "bearer":
            answer = yield self._token_request(dict(_parameters(rest)))
            answer.read()
            self._header = f"Bearer {self._read_token(answer)}"
        else:
            return
        request.headers["Authorization"] = self._header
        yield request

    def _token_request(self, challenge: dict[str, str]) -> httpx.Request:
        try:
            realm = httpx.URL(challenge.get("realm", ""))
        except httpx.InvalidURL:
            realm = httpx.URL()
        if (realm.port or 0) > _MAX_PORT:
            realm = httpx.URL()
        if realm.scheme != "https" and not (self._plain_http and realm.scheme == "http"):
            raise ImagesError(f"{self._host}: asks for a token from {realm.host or 'nowhere'} without TLS")
        names: tuple[str, ...] = ("service", "scope")
        parameters = {name: challenge[name] for name in names if name in challenge}
        if self._credentials and self._credentials.user == "<token>":
            form = {**parameters, "grant_type": "refresh_token", "refresh_token": self._credentials.secret}
            return httpx.Request("POST", realm, data={**form, "client_id": "routeiq"})
        request = httpx.Request("GET", realm, params=parameters)
        if self._credentials:
            basic = httpx.BasicAuth(self._credentials.user, self._credentials.secret)
            return next(basic.auth_flow(request))
        return request

    def _read_token(self, answer: httpx.Response) -> str:
        try:
            document = answer.json() if answer.is_success else {}
            token = document.get("token") or document.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise ImagesError(
                f"{self._host}: no token was given (HTTP {answer.status_code})",
                hint="log in with `podman login`",
            )
        return token


def _parameters(challenge: str) -> Iterator[tuple[str, str]]:
    for match in _PARAMETER.finditer(challenge):
        yield match[1], match[2]
