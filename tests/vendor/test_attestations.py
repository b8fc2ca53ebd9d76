"""PEP 740: what an index says of a wheel is kept by digest, when it is about that wheel.

The machine's own index serves no attestations, so a small server speaks the documented forms (JSON, HTML) here.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from routeiq_signing.progress import Progress, QuietProgress
from routeiq_vendor.attestations.document import MAX_PROVENANCE, check_provenance
from routeiq_vendor.attestations.index import Answers
from routeiq_vendor.attestations.store import (
    AttestationsLock,
    Kept,
    fetch_attestations,
    renew_attestations,
)
from routeiq_vendor.documents import read_document, write_document
from routeiq_vendor.errors import DownloadError, LockError, PoolError
from routeiq_vendor.pool import Pool
from routeiq_vendor.wheels.store import Wheel

NAME = "demo_pkg-1.0-py3-none-any.whl"
CONTENT = b"a wheel"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def provenance(name: str = NAME, sha256: str = SHA256, **statement: Any) -> dict[str, Any]:
    said = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": sha256}}],
        "predicateType": "https://docs.pypi.org/attestations/publish/v1",
        "predicate": None,
        **statement,
    }
    attestation = {
        "version": 1,
        "verification_material": {"certificate": "AA==", "transparency_entries": [{}]},
        "envelope": {"statement": base64.b64encode(json.dumps(said).encode()).decode(), "signature": "AA=="},
    }
    publisher = {"kind": "GitHub", "repository": "demo/demo", "workflow": "release.yml"}
    return {"version": 1, "attestation_bundles": [{"publisher": publisher, "attestations": [attestation]}]}


def raw(document: Any) -> bytes:
    return json.dumps(document).encode()


class Index:
    """Pages by path; `asked` are the paths that were asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.append(self.path)
                kind, content = index.pages.get(self.path, ("", b""))
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", kind or "text/plain")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, document: bytes | None, *, html: bool = False) -> None:
        address = f"{self.url}/provenance/{NAME}"
        if html:
            said = f' data-provenance="{address}"' if document else ""
            page = f'<a href="/files/{NAME}#sha256={SHA256}"{said}>{NAME}</a>'.encode()
            self.pages["/simple/demo-pkg/"] = ("text/html; charset=utf-8", page)
        else:
            file = {"filename": NAME, "url": "x", "hashes": {}, "provenance": address if document else None}
            page = raw({"meta": {"api-version": "1.3"}, "name": "demo-pkg", "files": [file]})
            self.pages["/simple/demo-pkg/"] = ("application/vnd.pypi.simple.v1+json", page)
        if document:
            self.pages[f"/provenance/{NAME}"] = ("application/json", document)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    served = Index()
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": f"{served.url}/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    yield served
    served.close()


@pytest.fixture
def wheels(pool: Pool, tmp_path: Path) -> list[Wheel]:
    path = tmp_path / NAME
    path.write_bytes(CONTENT)
    digest = pool.add_file(path)
    return [Wheel("demo-pkg", "1.0", NAME, digest, len(CONTENT), pool.path(digest))]


@pytest.mark.parametrize("html", [False, True], ids=["json", "html"])
def test_what_the_index_has_is_locked_by_digest_and_kept(
    index: Index, wheels: list[Wheel], pool: Pool, tmp_path: Path, html: bool
) -> None:
    index.serve(raw(provenance()), html=html)
    lock = renew_attestations(wheels, pool, QuietProgress())
    entry = lock.wheels[NAME]
    assert (lock.served, lock.absent, entry.wheel) == (True, 0, SHA256)
    assert pool.path(entry.provenance).read_bytes() == raw(provenance())
    path = tmp_path / "attestations.lock.json"
    write_document(path, lock)
    assert read_document(path, AttestationsLock) == lock
    index.asked.clear()
    kept = fetch_attestations(wheels, path, pool, QuietProgress(), offline=True, release=True)
    assert [(item.filename, item.sha256) for item in kept.kept] == [(NAME, entry.provenance)]
    assert index.asked == []
    assert str(kept) == "attestations: 1 kept, 0 wheels without"


@pytest.mark.parametrize("html", [False, True], ids=["json", "html"])
def test_an_index_without_them_is_named_and_stops_nothing(
    index: Index, wheels: list[Wheel], pool: Pool, tmp_path: Path, html: bool
) -> None:
    index.serve(None, html=html)
    lock = renew_attestations(wheels, pool, QuietProgress())
    assert (lock.wheels, lock.absent, lock.served) == ({}, 1, not html)
    path = tmp_path / "attestations.lock.json"
    write_document(path, lock)
    kept = fetch_attestations(wheels, path, pool, QuietProgress(), offline=True, release=True)
    assert (kept.kept, kept.absent) == ((), 1)
    assert ("serves none" in str(kept)) is html


def test_without_a_lock_nothing_is_asked(
    index: Index, wheels: list[Wheel], pool: Pool, tmp_path: Path
) -> None:
    kept = fetch_attestations(
        wheels, tmp_path / "none.json", pool, QuietProgress(), offline=False, release=True
    )
    assert kept == Kept(absent=1)
    assert index.asked == []


class Served:
    """Answers as `ask_index` does, with this content for the wheel, or without."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content

    def __call__(self, wanted: Mapping[str, Sequence[str]], into: Path, progress: Progress) -> Answers:
        del progress
        if self.content is None or NAME not in wanted["demo-pkg"]:
            return Answers({}, (), speaks_json=True)
        (into / "answer").write_bytes(self.content)
        return Answers({NAME: into / "answer"}, (), speaks_json=True)


def test_a_lost_one_stops_a_release_and_marks_a_development_build(
    wheels: list[Wheel], pool: Pool, tmp_path: Path
) -> None:
    path = tmp_path / "attestations.lock.json"
    ours, other = Served(raw(provenance())), Served(raw(provenance(predicate={"other": 1})))
    lock = renew_attestations(wheels, pool, QuietProgress(), ask=ours)
    write_document(path, lock)
    pool.path(lock.wheels[NAME].provenance).unlink()

    def fetch(ask: Served, *, offline: bool, release: bool) -> Kept:
        return fetch_attestations(
            wheels, path, pool, QuietProgress(), offline=offline, release=release, ask=ask
        )

    with pytest.raises(PoolError, match="OFFLINE=1 forbids"):
        fetch(ours, offline=True, release=False)
    for ask in (other, Served(None)):  # the index serves another one by now, or none
        with pytest.raises(DownloadError, match="no longer has the locked attestations"):
            fetch(ask, offline=False, release=True)
    kept = fetch(other, offline=False, release=False)
    assert (kept.kept, kept.lost) == ((), (NAME,))
    assert [item.filename for item in fetch(ours, offline=False, release=True).kept] == [NAME]


def test_an_attestation_of_another_file_is_refused_and_nothing_is_kept(
    wheels: list[Wheel], pool: Pool
) -> None:
    before = set((pool.root / "sha256").iterdir())
    with pytest.raises(DownloadError, match="with another digest or name"):
        renew_attestations(wheels, pool, QuietProgress(), ask=Served(raw(provenance(sha256="0" * 64))))
    assert set((pool.root / "sha256").iterdir()) == before


def test_an_index_that_breaks_off_or_floods_keeps_the_old_lock(
    index: Index, wheels: list[Wheel], pool: Pool
) -> None:
    index.pages["/simple/demo-pkg/"] = ("application/vnd.pypi.simple.v1+json", b"{not json")
    with pytest.raises(DownloadError, match="could not be asked"):
        renew_attestations(wheels, pool, QuietProgress())
    index.serve(b" " * (MAX_PROVENANCE + 1))
    with pytest.raises(DownloadError, match="could not be asked"):
        renew_attestations(wheels, pool, QuietProgress())


def spoiled(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = provenance()
    change(document)
    return raw(document)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        b"{}",
        b" " * (MAX_PROVENANCE + 1),
        spoiled(lambda it: it.update(version=2)),
        spoiled(lambda it: it.update(attestation_bundles=[])),
        spoiled(lambda it: it.update(attestation_bundles=[{}] * 60)),
        spoiled(lambda it: it["attestation_bundles"][0].update(attestations=[])),
        spoiled(lambda it: it["attestation_bundles"][0].pop("publisher")),
        spoiled(lambda it: it["attestation_bundles"][0]["attestations"][0].update(version=2)),
        spoiled(lambda it: it["attestation_bundles"][0]["attestations"][0].update(envelope={})),
        spoiled(
            lambda it: it["attestation_bundles"][0]["attestations"][0]["envelope"].update(statement="%%")
        ),
        raw(provenance(name="other-1.0-py3-none-any.whl")),
        raw(provenance(name="no wheel")),
        raw(provenance(sha256="1" * 64)),
        raw(provenance(_type="https://in-toto.io/Statement/v0.1")),
        raw(provenance(subject=[])),
        raw(provenance(subject=[{"name": NAME, "digest": {"sha256": SHA256}}] * 2)),
    ],
)
def test_a_provenance_of_another_form_is_refused(content: bytes) -> None:
    with pytest.raises(DownloadError, match="^provenance of demo_pkg"):
        check_provenance(content, NAME, SHA256)


def test_what_is_said_of_the_publisher_is_read() -> None:
    found = check_provenance(raw(provenance(name="demo.pkg-1.0-py3-none-any.whl")), NAME, SHA256)
    assert found.publishers == ("GitHub",)
    assert found.predicates == ("https://docs.pypi.org/attestations/publish/v1",)


def test_a_broken_lock_is_refused(tmp_path: Path, pool: Pool) -> None:
    path = tmp_path / "attestations.lock.json"
    path.write_text('{"served": true, "absent": 0, "wheels": {"x": {"wheel": "../x"}}}')
    with pytest.raises(LockError):
        fetch_attestations([], path, pool, QuietProgress(), offline=True, release=True)
