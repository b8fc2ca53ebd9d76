"""A fake index (a folder that pip's find-links names) and a fake Debian mirror (a folder that real apt reads)."""

import hashlib
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from routeiq_signing.progress import Advance
from routeiq_vendor.pool import Pool


class RecordingProgress:
    """Remembers each task: what, total, and how far it got."""

    def __init__(self) -> None:
        self.tasks: list[list[str | int | None]] = []

    @contextmanager
    def task(self, what: str, total: int | None, unit: str = "B") -> Iterator[Advance]:
        entry: list[str | int | None] = [what, total, 0]
        self.tasks.append(entry)

        def advance(amount: int) -> None:
            entry[2] = int(entry[2] or 0) + amount

        yield advance

    @property
    def names(self) -> list[str]:
        return [str(task[0]) for task in self.tasks]


def make_wheel(
    folder: Path, name: str, version: str, *, tag: str = "py3-none-any", files: dict[str, bytes] | None = None
) -> Path:
    """Write a wheel that pip takes: metadata and the given files."""
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-{tag}.whl"
    info = f"{stem}.dist-info"
    members = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        f"{info}/RECORD": b"",
        **(files or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return path


def make_deb(
    folder: Path,
    name: str,
    version: str,
    *,
    depends: str = "",
    source: str = "",
    files: dict[str, bytes] | None = None,
) -> Path:
    """Write a .deb (`ar` of three members, deb(5)) with a data.tar.xz like Debian 12's."""
    control = (
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody\nDescription: fake\n"
    )
    control += f"Depends: {depends}\n" if depends else ""
    control += f"Source: {source}\n" if source else ""

    def packed(members: dict[str, bytes]) -> bytes:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as archive:
            for path, data in members.items():
                info = tarfile.TarInfo(f"./{path}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return lzma.compress(raw.getvalue())

    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": packed({"control": control.encode()}),
        "data.tar.xz": packed(files or {f"usr/share/doc/{name}/copyright": f"{name} {version}".encode()}),
    }
    path = folder / f"{name}_{version}_amd64.deb"
    with path.open("wb") as file:
        file.write(b"!<arch>\n")
        for member, data in parts.items():
            file.write(f"{member:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode())
            file.write(data + b"\n" * (len(data) % 2))
    return path


@dataclass
class Mirror:
    """A Debian mirror in a folder. It offers what was last published, and nothing else, as Debian's does."""

    root: Path
    origin: str = "Debian"
    stanzas: dict[str, str] = field(default_factory=dict)

    def publish(
        self,
        name: str,
        version: str,
        *,
        depends: str = "",
        source: str = "",
        files: dict[str, bytes] | None = None,
    ) -> Path:
        """Put a package at the place of any older version of it."""
        pool = self.root / "pool"
        pool.mkdir(parents=True, exist_ok=True)
        for old in pool.glob(f"{name}_*.deb"):
            old.unlink()
        path = make_deb(pool, name, version, depends=depends, source=source, files=files)
        data = path.read_bytes()
        lines = [
            f"Package: {name}",
            f"Version: {version}",
            "Architecture: amd64",
            f"Filename: pool/{path.name}",
        ]
        lines += [f"Size: {len(data)}", f"SHA256: {hashlib.sha256(data).hexdigest()}", "Maintainer: nobody"]
        lines += [f"Depends: {depends}"] * bool(depends) + [f"Source: {source}"] * bool(source)
        self.stanzas[name] = "\n".join([*lines, "Description: fake"]) + "\n"
        self._index()
        return path

    def _index(self) -> None:
        packages = "\n".join(self.stanzas.values()).encode()
        folder = self.root / "dists" / "bookworm" / "main" / "binary-amd64"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "Packages").write_bytes(packages)
        digest = hashlib.sha256(packages).hexdigest()
        release = (
            f"Origin: {self.origin}\nLabel: {self.origin}\nSuite: oldstable\nCodename: bookworm\n"
            "Date: Sat, 21 Nov 2026 00:00:00 UTC\nArchitectures: amd64\nComponents: main\n"
            f"SHA256:\n {digest} {len(packages)} main/binary-amd64/Packages\n"
        )
        (self.root / "dists" / "bookworm" / "Release").write_text(release, encoding="ascii")

    @property
    def sources(self) -> Path:
        """A sources.list that names this mirror only."""
        path = self.root / "sources.list"
        path.write_text(f"deb [trusted=yes] file:{self.root} bookworm main\n", encoding="ascii")
        return path


@pytest.fixture
def progress() -> RecordingProgress:
    return RecordingProgress()


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(tmp_path / "pool")


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "mirror")


@pytest.fixture
def other_mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "other", origin="Somebody")


@pytest.fixture
def wheel_maker() -> Callable[..., Path]:
    return make_wheel


@pytest.fixture
def deb_maker() -> Callable[..., Path]:
    return make_deb


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index that pip is configured for: a folder of wheels, and no other place."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder
