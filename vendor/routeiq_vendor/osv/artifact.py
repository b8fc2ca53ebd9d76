"""OSV data as one file to carry: a zip with `index.json`, its signature, and each ecosystem's records as JSON lines.

The index names every other member by SHA-256, size and count, and when it was made; it alone is signed (sigstore bundle
v0.3, as bundle.json is), so that gigabytes need not be held. `read_osv` hands out records only from what it hashes, and
ends with an error when a digest is wrong: whoever counts findings counts them after the end.

Unsigned data, a folder or a zip as the databases publish it (one `.json` a record), is read when the caller says so.
"""

import hashlib
import json
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from routeiq_signing.errors import DocumentError
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS as SIGNED
from routeiq_signing.progress import Progress
from routeiq_signing.sigstore_bundle import message_bundle, read_message_bundle
from routeiq_signing.strict_json import dumps, loads
from routeiq_vendor.errors import LockError
from routeiq_vendor.osv.records import ECOSYSTEMS, MAX_RECORD, Record, parse_record, parse_time

__all__ = ["OSV_SCHEMA", "OsvIndex", "OsvPart", "read_index", "read_osv", "read_unsigned", "write_osv"]

OSV_SCHEMA = "routeiq.osv/v1"
_INDEX = "index.json"
_SIGNATURE = re.compile(r"index\.json\.([0-9a-f]{64})\.sigstore\.json\Z")
_MAX_RECORDS = 2_000_000  # all of PyPI, Debian and npm are about 500,000
_MAX_BYTES = 16 << 30  # unpacked, of one file
_MAX_INDEX = 1 << 20
_MEMBER = "{ecosystem}.jsonl"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True)
class OsvPart:
    """One ecosystem's records: member, hex SHA-256, bytes, records, and the newest record's `modified`."""

    ecosystem: str
    file: str
    sha256: str
    size: int
    records: int
    newest: str


@dataclass(frozen=True, slots=True)
class OsvIndex:
    """What the data is: when it was made, by whose key it is signed (empty: not), and its parts."""

    made: str
    keyid: str
    parts: tuple[OsvPart, ...]


def write_osv(out: Path, sources: Sequence[Path], key: Signer, now: datetime, progress: Progress) -> OsvIndex:
    """Make a signed artifact of downloaded dumps (folders, zips of `.json`); whole or not at all.

    Records of other ecosystems and withdrawn ones are left out; an id twice is taken once, the newer one. Raises
    `LockError` naming the record at fault, or when nothing is left.
    """
    held: dict[str, dict[str, tuple[str, bytes]]] = {name: {} for name in ECOSYSTEMS}
    for source in sources:
        for what, raw in _raw_records(source, progress):
            record = parse_record(raw, what)
            spelled = json.dumps(json.loads(raw), sort_keys=True, separators=(",", ":")).encode()
            for name, kind in ECOSYSTEMS.items():
                if record.withdrawn or not any(item.kind == kind for item in record.affected):
                    continue
                before = held[name].get(record.id)
                if before is None or parse_time(before[0]) <= parse_time(record.modified):
                    held[name][record.id] = (record.modified, spelled)
    parts, members = [], {}
    for name in sorted(held):
        if held[name]:
            content = b"".join(held[name][identifier][1] + b"\n" for identifier in sorted(held[name]))
            member = _MEMBER.format(ecosystem=name)
            newest = max((modified for modified, _ in held[name].values()), key=parse_time)
            sha256 = hashlib.sha256(content).hexdigest()
            parts.append(OsvPart(name, member, sha256, len(content), len(held[name]), newest))
            members[member] = content
    if not parts:
        raise LockError(
            f"no record is of {', '.join(sorted(ECOSYSTEMS))}: nothing to make an artifact of",
            hint="give the ecosystems' dumps: folders of .json files, or their all.zip",
        )
    made = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    index = dumps({"schema": OSV_SCHEMA, "made": made, "parts": [_plain(part) for part in parts]})
    keyid = key.public.keyid
    signature = message_bundle(keyid, index, key.sign(index))
    _write_zip(out, {_INDEX: index, f"{_INDEX}.{keyid}.sigstore.json": signature, **members})
    return OsvIndex(made, keyid, tuple(parts))


def read_index(path: Path, key: PublicKey) -> OsvIndex:
    """Return what the signed artifact says it is; raises `LockError` unless `key` signed it."""
    with _opened(path) as archive:
        return _verified(archive, path, key)


def read_osv(path: Path, key: PublicKey, progress: Progress) -> tuple[OsvIndex, Iterator[Record]]:
    """Return the index and the records of a signed artifact, which are good once the iterator has ended.

    Raises `LockError` (from the call, or from the iterator) for what is not signed by `key` or was changed.
    """
    index = read_index(path, key)

    def records() -> Iterator[Record]:
        with _opened(path) as archive:
            if _verified(archive, path, key) != index:
                raise LockError(f"{path}: changed while it was read", subject=str(path))
            for part in index.parts:
                with progress.task(f"advisories {part.ecosystem}", part.size) as advance:
                    yield from _lines(archive, part, path, advance)

    return index, records()


def read_unsigned(path: Path, progress: Progress) -> Iterator[Record]:
    """Return the records of a folder or a zip that nobody signed; raises `LockError` for one that is not OSV's."""
    for what, raw in _raw_records(path, progress):
        record = parse_record(raw, what)
        if not record.withdrawn:
            yield record


def _verified(archive: zipfile.ZipFile, path: Path, key: PublicKey) -> OsvIndex:
    names = archive.namelist()
    raw = _member(archive, _INDEX, path, _MAX_INDEX)
    signatures = [name for name in names if _SIGNATURE.match(name)]
    wanted = f"{_INDEX}.{key.keyid}.sigstore.json"
    if wanted not in signatures:
        raise LockError(
            f"{path}: not signed by the key {key.keyid[:16]}…",
            subject=str(path),
            hint="compare the key with the one you were given by a second channel",
        )
    try:
        signature = read_message_bundle(
            _member(archive, wanted, path, SIGNED.signature), wanted, keyid=key.keyid, message=raw
        )
        if not key.verifies(signature, raw):
            raise LockError(f"{path}: the signature is not of this index", subject=str(path))
        document = loads(raw, f"{path}: {_INDEX}", limit=_MAX_INDEX)
    except DocumentError as error:
        raise LockError(str(error), subject=str(path)) from None
    index = _index(document, path, key.keyid)
    if sorted(names) != sorted([_INDEX, *signatures, *(part.file for part in index.parts)]):
        raise LockError(f"{path}: holds other files than its index names", subject=str(path))
    return index


def _index(document: Mapping[str, Any], path: Path, keyid: str) -> OsvIndex:
    try:
        if document["schema"] != OSV_SCHEMA:
            raise LockError(f"{path}: {_INDEX} is not of {OSV_SCHEMA}", subject=str(path))
        made = str(document["made"])
        parse_time(made)
        parts = tuple(OsvPart(**item) for item in document["parts"])
    except (KeyError, TypeError) as error:
        raise LockError(f"{path}: {_INDEX} lacks what it must say", subject=str(path)) from error
    for part in parts:
        right = (
            part.ecosystem in ECOSYSTEMS
            and part.file == _MEMBER.format(ecosystem=part.ecosystem)
            and isinstance(part.sha256, str)
            and isinstance(part.records, int)
            and isinstance(part.size, int)
            and isinstance(part.newest, str)
            and 0 <= part.size <= _MAX_BYTES
        )
        if not right:
            raise LockError(f"{path}: {_INDEX} names a part that cannot be", subject=str(path))
        parse_time(part.newest)
    if len({part.file for part in parts}) != len(parts) or not parts:
        raise LockError(f"{path}: {_INDEX} names no parts, or one twice", subject=str(path))
    return OsvIndex(made, keyid, parts)


def _lines(
    archive: zipfile.ZipFile, part: OsvPart, path: Path, advance: Callable[[int], object]
) -> Iterator[Record]:
    digest, count, size = hashlib.sha256(), 0, 0
    try:
        with archive.open(part.file) as file:
            while line := file.readline(MAX_RECORD + 2):
                digest.update(line)
                size += len(line)
                count += 1
                if size > part.size or count > _MAX_RECORDS:
                    raise LockError(f"{path}: {part.file} is larger than its index says", subject=str(path))
                advance(len(line))
                yield parse_record(line, f"{part.file} line {count}")
    except _DAMAGE as error:
        raise LockError(f"{path}: {part.file}: {error}", subject=str(path)) from error
    if (digest.hexdigest(), size, count) != (part.sha256, part.size, part.records):
        raise LockError(f"{path}: {part.file} is not what its index says", subject=str(path))


def _raw_records(path: Path, progress: Progress) -> Iterator[tuple[str, bytes]]:
    """Return name → bytes of every `.json` file of a folder or a zip, capped in number and size."""
    count = 0
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.json") if not file.is_symlink() and file.is_file())
        with progress.task(f"read {path.name}", len(files), "record") as advance:
            for file in files:
                if file.stat().st_size > MAX_RECORD:
                    raise LockError(f"{file}: larger than the {MAX_RECORD} bytes allowed", subject=str(file))
                yield str(file), file.read_bytes()
                advance(1)
                count += 1
    else:
        with _opened(path) as archive:
            infos = [info for info in archive.infolist() if info.filename.endswith(".json")]
            with progress.task(f"read {path.name}", len(infos), "record") as advance:
                for info in infos:
                    yield (
                        f"{path.name}: {info.filename[:100]}",
                        _member(archive, info.filename, path, MAX_RECORD),
                    )
                    advance(1)
                    count += 1
    if not count:
        raise LockError(f"{path}: no OSV records in it", subject=str(path))


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip whose table of contents is plausible; raises `LockError` for what is no such file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise LockError(f"{path}: neither a zip nor a folder", subject=str(path))
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise LockError(f"{path}: no such file", subject=str(path)) from error
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise LockError(f"{path}: not a zip: {error}", subject=str(path)) from error
    with archive:
        names = archive.namelist()
        if len(names) > _MAX_RECORDS or len(set(names)) != len(names):
            raise LockError(f"{path}: too many files, or one twice", subject=str(path))
        yield archive


def _member(archive: zipfile.ZipFile, name: str, path: Path, limit: int) -> bytes:
    try:
        with archive.open(name) as file:
            raw = file.read(limit + 1)
    except KeyError as error:
        raise LockError(
            f"{path}: has no {name}: no artifact of `routeiq vendor osv`", subject=str(path)
        ) from error
    except _DAMAGE as error:
        raise LockError(f"{path}: {name[:100]}: {error}", subject=str(path)) from error
    if len(raw) > limit:
        raise LockError(f"{path}: {name[:100]}: more than the {limit} bytes allowed", subject=str(path))
    return raw


def _plain(part: OsvPart) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__slots__}


def _write_zip(out: Path, members: Mapping[str, bytes]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.part")
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in _ordered(members):
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)


def _ordered(members: Mapping[str, bytes]) -> Iterable[tuple[str, bytes]]:
    return sorted(members.items(), key=lambda item: (not item[0].startswith(_INDEX), item[0]))
