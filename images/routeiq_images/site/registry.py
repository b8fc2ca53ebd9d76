"""Pushes blobs and manifests to a registry, byte for byte (OCI distribution-spec 1.1).

What is there is not sent again, so a push that was cut off goes on with the blob where it stopped. Transport faults,
429 and 5xx are tried again with jitter; anything else, an untrusted certificate too, is an error that names the
registry, the repository and its answer. Redirects are not followed. Why no library: docs/adr/0001-registry-client.md.
"""

import random
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from routeiq_images.errors import ImagesError
from routeiq_images.site.credentials import Credentials
from routeiq_images.site.registry_auth import RegistryAuth
from routeiq_signing.progress import Advance

__all__ = ["Registry"]

_CHUNK = 1 << 20
_TRIES = 5
_MAX_ANSWER = 4 << 20
_BODY_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_ACCEPT = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"


class Registry:
    """One registry, `host` (name:port). Use as a context manager."""

    def __init__(
        self,
        host: str,
        *,
        credentials: Credentials | None = None,
        plain_http: bool = False,
        ca_file: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.host = host
        self._sleep = sleep
        try:
            verify = ssl.create_default_context(cafile=str(ca_file)) if ca_file else True
        except (OSError, ssl.SSLError) as error:
            raise ImagesError(f"{ca_file}: no CA certificates in PEM form", subject=str(ca_file)) from error
        self._client = httpx.Client(
            base_url=f"{'http' if plain_http else 'https'}://{host}",
            auth=RegistryAuth(host, credentials, plain_http=plain_http),
            verify=verify,
            timeout=httpx.Timeout(60, read=300),
            trust_env=False,  # no proxy of the environment stands between a site and its registry
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ping(self) -> None:
        """Raise `ImagesError` unless a registry answers here and lets us in."""
        self._expect(self._send("GET", "/v2/"), {200}, "/v2/")

    def has_blob(self, repository: str, digest: str) -> bool:
        """Tell whether the repository holds the blob; a redirect to where its bytes are kept says that it does."""
        path = f"/v2/{repository}/blobs/{digest}"
        return self._expect(self._send("HEAD", path), {200, 302, 307, 404}, path).status_code != 404

    def put_blob(
        self, repository: str, digest: str, file: Path, advance: Advance, *, mount: str | None = None
    ) -> bool:
        """Have the blob in the repository; return whether its bytes were sent. `advance` is told of each as it goes.

        `mount` is a repository of this registry that holds it already: then nothing need be sent.
        """
        start = f"/v2/{repository}/blobs/uploads/"
        if mount is not None:
            answer = self._expect(
                self._send("POST", start, params={"mount": digest, "from": mount}), {201, 202}, start
            )
            if answer.status_code == httpx.codes.CREATED:
                advance(file.stat().st_size)
                return False
        sent = _Sent(file, advance)
        self._retry(lambda: self._upload(start, repository, digest, sent), f"{repository}: blob {digest}")
        return True

    def has_manifest(self, repository: str, reference: str) -> str | None:
        """Return the digest of the manifest that `reference` (tag or digest) names, or None."""
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self._expect(self._send("HEAD", path, headers={"Accept": _ACCEPT}), {200, 404}, path)
        return answer.headers.get("Docker-Content-Digest") if answer.status_code == httpx.codes.OK else None

    def get_manifest(self, repository: str, reference: str) -> bytes | None:
        """Return the raw manifest that `reference` names, or None."""
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self._expect(self._send("GET", path, headers={"Accept": _ACCEPT}), {200, 404}, path)
        return answer.content if answer.status_code == httpx.codes.OK else None

    def put_manifest(self, repository: str, reference: str, raw: bytes, media_type: str) -> bool:
        """Put the raw bytes; return whether the registry itself indexes them under their subject (OCI-Subject)."""
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self._expect(
            self._send("PUT", path, content=raw, headers={"Content-Type": media_type}), {201}, path
        )
        return "OCI-Subject" in answer.headers

    def _upload(self, start: str, repository: str, digest: str, sent: "_Sent") -> httpx.Response:
        sent.start_over()
        begun = self._request("POST", start)
        if _passing(begun):
            return begun
        self._expect(begun, {202}, start)
        location = httpx.URL(begun.headers.get("Location", ""))
        if not location.is_absolute_url:
            location = self._client.base_url.join(location)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(sent.size)}
        place = location.copy_merge_params({"digest": digest})
        answer = self._request("PUT", place, content=sent.chunks(), headers=headers)
        return answer if _passing(answer) else self._expect(answer, {201}, f"{repository}: blob {digest}")

    def _send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        return self._retry(
            lambda: self._request(method, path, headers=headers, params=params, content=content), path
        )

    def _request(self, method: str, url: str | httpx.URL, **request: Any) -> httpx.Response:
        """Send once, and read no more of the answer than a manifest may have."""
        with self._client.stream(method, url, **request) as answer:
            body = b""
            for block in answer.iter_bytes(_CHUNK):
                body += block
                if len(body) > _MAX_ANSWER:
                    raise ImagesError(
                        f"{self.host}: an answer of more than {_MAX_ANSWER} bytes", subject=self.host
                    )
            # What httpx decoded must not be decoded again.
            headers = [
                (name, value) for name, value in answer.headers.multi_items() if name not in _BODY_HEADERS
            ]
            return httpx.Response(answer.status_code, headers=headers, content=body, request=answer.request)

    def _retry(self, send: Callable[[], httpx.Response], what: str) -> httpx.Response:
        for attempt in range(1, _TRIES + 1):
            fault = "no answer"
            try:
                answer = send()
            # StreamError: a token ran out under a blob whose bytes were already on their way.
            except (httpx.TransportError, httpx.StreamError) as error:
                fault = str(error) or type(error).__name__
                if _untrusted(error):
                    raise ImagesError(
                        f"{self.host}: {what}: {fault}",
                        subject=self.host,
                        hint="name the CA that signed the registry's certificate with --ca-file",
                    ) from error
            else:
                if not _passing(answer):
                    return answer
                fault = f"HTTP {answer.status_code}"
            if attempt < _TRIES:
                self._sleep(random.uniform(0, 0.25 * 2**attempt))  # noqa: S311  jitter, not a secret
        raise ImagesError(
            f"{self.host}: {what}: {fault}, after {_TRIES} tries",
            subject=self.host,
            hint="check the address, TLS (--plain-http, --ca-file) and run it again: what was sent stays",
        )

    def _expect(self, answer: httpx.Response, codes: set[int], what: str) -> httpx.Response:
        if answer.status_code in codes:
            return answer
        if answer.status_code in {401, 403}:
            raise ImagesError(
                f"{self.host}: {what}: access denied (HTTP {answer.status_code})",
                subject=self.host,
                hint=f"log in with `podman login {self.host}` and run it again",
            )
        said = answer.text[:200].replace("\n", " ")
        raise ImagesError(
            f"{self.host}: {what}: HTTP {answer.status_code} {said}".rstrip(), subject=self.host
        )


def _passing(answer: httpx.Response) -> bool:
    """Tell whether the fault is one that may be gone at the next try."""
    return answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.status_code >= 500


def _untrusted(error: BaseException | None) -> bool:
    """Tell whether the fault comes from a certificate that did not verify: no further try would change that."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__  # httpcore names no cause
    return False


class _Sent:
    """A file on its way: what a failed try had counted is taken back before the next."""

    def __init__(self, file: Path, advance: Advance) -> None:
        self._file = file
        self._advance = advance
        self._counted = 0
        self.size = file.stat().st_size

    def start_over(self) -> None:
        """Take back what was counted."""
        if self._counted:
            self._advance(-self._counted)
            self._counted = 0

    def chunks(self) -> Iterator[bytes]:
        """Yield the file's bytes, counting them."""
        with self._file.open("rb") as source:
            while block := source.read(_CHUNK):
                yield block
                self._counted += len(block)
                self._advance(len(block))
