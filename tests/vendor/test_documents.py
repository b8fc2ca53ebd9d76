from pathlib import Path

import pytest

from routeiq_vendor.debs.lock import DebsLock, DebsRequests
from routeiq_vendor.documents import read_document, write_document
from routeiq_vendor.errors import LockError
from routeiq_vendor.weights.lock import WeightsLock, WeightsRequests

LOCKS = Path(__file__).parents[2] / "vendor" / "locks"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "debs.lock.json: document: invalid json"),
        ("[]", "debs.lock.json: document: input should be an object"),
        ('{"suite": "bookworm"}', "debs.lock.json: arch: field required"),
        (
            '{"suite":"bookworm","arch":"amd64","packages":{},"images":{},"unused":{},"extra":1}',
            "debs.lock.json: extra: extra inputs are not permitted",
        ),
        (
            '{"suite":"bookworm","arch":"amd64","packages":{"libc6":{"version":"1","source":"glibc","source_version":"1",'
            '"filename":"../../etc/passwd","sha256":"' + "a" * 64 + '","size":1}},"images":{},"unused":{}}',
            "debs.lock.json: packages.libc6.filename: string should match pattern",
        ),
    ],
)
def test_bad_lock_is_one_error_that_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "debs.lock.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LockError) as caught:
        read_document(path, DebsLock)
    assert str(caught.value).startswith(message)


def test_bad_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "debs.toml").write_text("suite = ", encoding="utf-8")
    with pytest.raises(LockError, match=r"^debs\.toml: "):
        read_document(tmp_path / "debs.toml", DebsRequests)


def test_oversized_lock_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "debs.lock.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(LockError, match="larger than"):
        read_document(tmp_path / "debs.lock.json", DebsLock)


@pytest.mark.parametrize(
    ("name", "model"), [("debs.lock.json", DebsLock), ("weights.lock.json", WeightsLock)]
)
def test_committed_lock_is_in_its_one_form(
    tmp_path: Path, name: str, model: type[DebsLock | WeightsLock]
) -> None:
    write_document(tmp_path / name, read_document(LOCKS / name, model))
    assert (tmp_path / name).read_bytes() == (LOCKS / name).read_bytes()


def test_committed_locks_answer_their_requests() -> None:
    requests, lock = (
        read_document(LOCKS / "debs.toml", DebsRequests),
        read_document(LOCKS / "debs.lock.json", DebsLock),
    )
    assert lock.drifted_from is None
    assert {image: sorted(request.unused) for image, request in requests.images.items()} == lock.unused
    for image, request in requests.images.items():
        assert set(request.roots) <= set(lock.images[image])
        assert not set(request.drop) & set(lock.images[image])
    wanted = read_document(LOCKS / "weights.toml", WeightsRequests)
    locked = read_document(LOCKS / "weights.lock.json", WeightsLock)
    for name, weights in wanted.models.items():
        assert {path: file.member for path, file in locked.models[name].files.items()} == weights.files
        parity = locked.models[name].parity
        assert parity is not None
        assert parity.fp32_max_abs_diff < 1e-4
        assert parity.int8_mean_cosine >= 0.99


@pytest.mark.parametrize("path", sorted(LOCKS.iterdir()), ids=lambda path: path.name)
def test_no_lock_names_a_host(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
