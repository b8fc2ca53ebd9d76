"""Parts: what is whole is copied once, what is not is named or restored, and only the verified whole counts."""

import fcntl
import itertools
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_images.carry import split_join, split_write
from routeiq_images.carry.carried_file import NamedFile
from routeiq_images.carry.split import LIST_NAME, PartsList, check_plan, parse_size
from routeiq_images.carry.split_files import check_parts
from routeiq_images.carry.split_join import join_parts
from routeiq_images.carry.split_write import write_parts
from routeiq_images.errors import ImagesError
from routeiq_signing.errors import VerificationError
from routeiq_signing.progress import QuietProgress

QUIET = QuietProgress()
PART = 8192
SIZE = 5 * PART + 1000  # six parts, the last one short


class Carried:
    """A whole, its parts on a medium, and where they are joined."""

    def __init__(self, folder: Path, parity: int) -> None:
        self.whole = folder / "whole.tar"
        self.whole.write_bytes(random.Random(1).randbytes(SIZE))
        self.medium = folder / "medium"
        self.out = folder / "site" / "joined.tar"
        self.copy = folder / "site" / ".joined.tar.joining"
        self.listed = write_parts(self.whole, self.medium, PART, parity, QUIET)

    def part(self, number: int) -> Path:
        return self.medium / f"whole.tar.part-{number:04}"

    def join(self, **more: Any) -> split_join.Joined:
        return join_parts(self.medium, self.out, QUIET, **more)

    def whole_again(self) -> None:
        assert self.out.read_bytes() == self.whole.read_bytes()
        assert list(self.out.parent.iterdir()) == [self.out]
        assert self.out.stat().st_mode & 0o777 == 0o644


@pytest.fixture
def plain(tmp_path: Path) -> Carried:
    return Carried(tmp_path, 0)


@pytest.fixture
def safe(tmp_path: Path) -> Carried:
    return Carried(tmp_path, 2)


def flip(path: Path, at: int = 7) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


def refuse(_file: NamedFile) -> None:
    raise VerificationError("bundle.json: not signed by the pinned key", step=2)


def test_parts_joined_are_the_whole(plain: Carried) -> None:
    joined = plain.join()
    assert len(joined.copied) == 6
    plain.whole_again()


def test_parts_hold_the_whole_in_order_and_nothing_else(plain: Carried) -> None:
    assert b"".join(plain.part(n).read_bytes() for n in range(1, 7)) == plain.whole.read_bytes()
    assert sorted(path.name for path in plain.medium.iterdir()) == sorted(
        [*plain.listed.expected(), LIST_NAME]
    )


@pytest.mark.parametrize("size", [1, PART - 1, PART, PART + 1, 3 * PART])
def test_a_whole_of_any_size_is_split_and_joined(tmp_path: Path, size: int) -> None:
    whole = tmp_path / "w"
    whole.write_bytes(os.urandom(size))
    write_parts(whole, tmp_path / "m", PART, 2, QUIET)
    (tmp_path / "m" / "w.part-0001").unlink()
    join_parts(tmp_path / "m", tmp_path / "out", QUIET)
    assert (tmp_path / "out").read_bytes() == whole.read_bytes()


# Damage: named, and copied again alone


def test_a_corrupted_part_is_named_and_copied_again_alone(plain: Carried) -> None:
    good = plain.part(3).read_bytes()
    flip(plain.part(3))
    with pytest.raises(ImagesError, match=r"1 of 6 parts are not whole: whole.tar.part-0003 \(damaged"):
        plain.join()
    assert not plain.out.exists()
    plain.part(3).write_bytes(good)
    joined = plain.join()
    assert (joined.copied, len(joined.kept)) == (("whole.tar.part-0003",), 5)
    plain.whole_again()


def test_missing_parts_come_from_the_next_medium(plain: Carried, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    (second / LIST_NAME).write_bytes((plain.medium / LIST_NAME).read_bytes())
    for number in (4, 5, 6):
        plain.part(number).rename(second / plain.part(number).name)
    with pytest.raises(ImagesError, match="part-0004 .missing.*part-0006 .missing") as refusal:
        plain.join()
    assert "put in the medium" in str(refusal.value.hint)
    joined = join_parts(second, plain.out, QUIET)
    assert (len(joined.copied), len(joined.kept)) == (3, 3)
    plain.whole_again()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c.part(2).write_bytes(c.part(2).read_bytes()[:-1]), "8191 bytes, not 8192"),
        (lambda c: c.part(2).write_bytes(c.part(2).read_bytes() + b"x"), "8193 bytes, not 8192"),
        (lambda c: c.part(2).write_bytes(b""), "0 bytes"),
        (lambda c: c.part(2).write_bytes(c.part(1).read_bytes()), "holds whole.tar.part-0001"),
        (lambda c: c.part(2).write_bytes(os.urandom(PART)), "a part of something else"),
        (lambda c: (c.part(2).unlink(), c.part(2).symlink_to(c.part(1))), "symbolic link"),
        (lambda c: (c.part(2).unlink(), c.part(2).symlink_to("/dev/zero")), "symbolic link"),
        (lambda c: (c.part(2).unlink(), os.mkfifo(c.part(2))), "not a regular file"),
        (lambda c: (c.part(2).unlink(), c.part(2).mkdir()), "not a regular file"),
        (lambda c: c.part(2).unlink(), "missing"),
    ],
    ids=["truncated", "longer", "empty", "duplicate", "foreign", "symlink", "endless", "fifo", "folder", "missing"],
)  # fmt: skip
def test_a_bad_part_is_named_by_check_and_by_join(
    plain: Carried, spoil: Callable[[Carried], object], message: str
) -> None:
    spoil(plain)
    _, faults = check_parts(plain.medium, QUIET)
    assert [fault.name for fault in faults] == ["whole.tar.part-0002"]
    assert message in faults[0].fault
    with pytest.raises(ImagesError, match=f"whole.tar.part-0002 .*{message}"):
        plain.join()
    assert not plain.out.exists()


def test_swapped_parts_are_told_apart(plain: Carried) -> None:
    one, two = plain.part(1).read_bytes(), plain.part(2).read_bytes()
    plain.part(1).write_bytes(two)
    plain.part(2).write_bytes(one)
    with pytest.raises(ImagesError, match=r"part-0001 \(holds whole.tar.part-0002\).*part-0002 \(holds"):
        plain.join()


def test_an_unreadable_sector_is_a_bad_part(plain: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    read = NamedFile.read

    def broken(self: NamedFile, size: int = -1) -> bytes:
        if self.path.name.endswith("0002"):
            with self._named():
                raise OSError(5, "Input/output error")
        return read(self, size)

    monkeypatch.setattr(NamedFile, "read", broken)
    with pytest.raises(ImagesError, match=r"1 of 6 parts are not whole: .*0002 \(Input/output error\)"):
        plain.join()


def test_whole_parts_check_as_such(safe: Carried) -> None:
    listed, faults = check_parts(safe.medium, QUIET)
    assert (listed, faults) == (safe.listed, [])


# The copy: resumable, ours alone, and judged before it is the result


def test_a_full_disk_keeps_what_was_copied(plain: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    write, left = NamedFile.write, 3

    def full(self: NamedFile, data: bytes) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            with self._named():
                raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(NamedFile, "write", full)
    with pytest.raises(OSError, match="No space left") as failure:
        plain.join()
    assert failure.value.filename == str(plain.copy)
    monkeypatch.undo()
    assert len(plain.join().kept) == 3
    plain.whole_again()


def test_a_copy_that_was_tampered_with_is_copied_again(plain: Carried) -> None:
    flip(plain.part(6))
    with pytest.raises(ImagesError):
        plain.join()
    flip(plain.part(6))
    flip(plain.copy, PART * 2)
    assert plain.join().copied == ("whole.tar.part-0003", "whole.tar.part-0006")
    plain.whole_again()


def test_the_rest_of_a_longer_copy_is_cut_off(plain: Carried) -> None:
    plain.out.parent.mkdir()
    plain.copy.write_bytes(os.urandom(SIZE + 50_000))
    plain.join()
    plain.whole_again()


def test_a_link_in_the_place_of_the_copy_is_not_followed(plain: Carried, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    plain.out.parent.mkdir()
    plain.copy.symlink_to(victim)
    with pytest.raises(ImagesError, match="joining"):
        plain.join()
    assert victim.read_bytes() == b"precious"


def test_a_copy_with_a_second_name_is_not_taken(plain: Carried, tmp_path: Path) -> None:
    """Who holds the other name could change what was verified."""
    other = tmp_path / "other"
    other.write_bytes(b"precious")
    plain.out.parent.mkdir()
    plain.copy.hardlink_to(other)
    with pytest.raises(ImagesError, match="belongs to somebody else, or has a second name"):
        plain.join()
    assert other.read_bytes() == b"precious"
    assert not plain.out.exists()


def test_a_neighbours_copy_is_not_taken(plain: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    plain.out.parent.mkdir()
    plain.copy.write_bytes(b"")
    monkeypatch.setattr(split_join.os, "geteuid", lambda: plain.copy.stat().st_uid + 1)
    with pytest.raises(ImagesError, match="belongs to somebody else"):
        plain.join()
    assert not plain.out.exists()


def test_two_joins_at_once_do_not_mix(plain: Carried) -> None:
    plain.out.parent.mkdir()
    with plain.copy.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ImagesError, match="another join is writing it"):
            plain.join()
    plain.join()
    plain.whole_again()


def test_the_result_must_not_be_a_part(plain: Carried) -> None:
    for path in (plain.part(1), plain.medium / LIST_NAME):
        with pytest.raises(ImagesError, match="is one of the parts"):
            join_parts(plain.medium, path, QUIET)


def test_a_refused_whole_does_not_come_to_its_place_and_deletes_no_part(plain: Carried) -> None:
    before = sorted(plain.medium.iterdir())
    plain.out.parent.mkdir()
    plain.out.write_bytes(b"earlier")
    with pytest.raises(VerificationError):
        plain.join(judge=refuse, delete=True)
    assert plain.out.read_bytes() == b"earlier"
    assert sorted(plain.medium.iterdir()) == before


def test_no_part_is_deleted_without_a_judge(plain: Carried) -> None:
    with pytest.raises(ImagesError, match="no part is deleted before the whole is verified"):
        plain.join(delete=True)
    assert len(list(plain.medium.iterdir())) == 7


def test_parts_of_a_verified_whole_are_deleted_last(safe: Carried) -> None:
    (safe.medium / "mine.txt").write_text("x")
    seen: list[int] = []
    safe.join(judge=lambda _file: seen.append(len(list(safe.medium.iterdir()))), delete=True)
    assert seen == [10]
    assert [path.name for path in safe.medium.iterdir()] == ["mine.txt"]


def test_toctou_what_is_judged_is_the_copy_and_not_the_medium(plain: Carried) -> None:
    def judge(file: NamedFile) -> None:
        for number in range(1, 7):
            flip(plain.part(number), 1)
        assert file.read() == plain.whole.read_bytes()

    plain.join(judge=judge)
    plain.whole_again()


# The list is a stranger's


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "traversal": lambda d: d.update(name="../../etc/passwd"),
    "absolute": lambda d: d.update(name="/etc/passwd"),
    "hidden": lambda d: d.update(name=".bashrc"),
    "newline": lambda d: d.update(name="a\nb"),
    "no name": lambda d: d.update(name=7),
    "huge": lambda d: d.update(size=1 << 50),
    "negative": lambda d: d.update(size=-1),
    "boolean": lambda d: d.update(size=True),
    "more parts than bytes": lambda d: d["parts"].append("0" * 64),
    "no parts": lambda d: d.update(parts=[]),
    "parts no list": lambda d: d.update(parts={"0": 1}),
    "parts null": lambda d: d.update(parts=None),
    "tiny parts": lambda d: d.update(part_size=1),
    "no digest": lambda d: d.update(sha256="x"),
    "digest upper": lambda d: d["parts"].__setitem__(0, "A" * 64),
    "unknown field": lambda d: d.update(run="x"),
    "unknown schema": lambda d: d.update(schema="routeiq.parts/v9"),
    "other parity": lambda d: d.update(parity=["0" * 64], parity_code="xor"),
    "parity without code": lambda d: d.update(parity=["0" * 64]),
    "empty parity": lambda d: d.update(parity=[], parity_code="isa_l_rs_cauchy"),
    "endless parity": lambda d: d.update(parity=["0" * 64] * 40, parity_code="isa_l_rs_cauchy"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_list_is_refused_before_a_part_is_opened(plain: Carried, name: str) -> None:
    document = json.loads((plain.medium / LIST_NAME).read_bytes())
    HOSTILE[name](document)
    (plain.medium / LIST_NAME).write_text(json.dumps(document, separators=(",", ":"), sort_keys=True))
    for number in range(1, 7):
        plain.part(number).unlink()
    with pytest.raises(ImagesError, match="parts.json: ") as refusal:
        plain.join()
    assert "missing" not in str(refusal.value)
    assert not plain.out.parent.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "strict JSON"), (b"[]", "not a JSON object"), (b" " * (2 << 20), "more than the")],
)
def test_a_list_that_is_none_is_refused(plain: Carried, content: bytes, message: str) -> None:
    (plain.medium / LIST_NAME).write_bytes(content)
    with pytest.raises(ImagesError, match=message):
        plain.join()


def test_a_list_that_is_a_link_or_absent_is_refused(plain: Carried, tmp_path: Path) -> None:
    path = plain.medium / LIST_NAME
    path.rename(tmp_path / "list")
    with pytest.raises(ImagesError, match="parts.json: No such file"):
        plain.join()
    path.symlink_to(tmp_path / "list")
    with pytest.raises(ImagesError, match="a symbolic link has no place here"):
        plain.join()


def test_a_list_whose_whole_is_another_is_refused_at_the_end(plain: Carried) -> None:
    document = json.loads((plain.medium / LIST_NAME).read_bytes())
    document["sha256"] = "0" * 64
    (plain.medium / LIST_NAME).write_text(json.dumps(document, separators=(",", ":"), sort_keys=True))
    with pytest.raises(ImagesError, match="the whole is not"):
        plain.join()
    assert not plain.out.exists()


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_a_refusal(raw: bytes) -> None:
    with pytest.raises(ImagesError):
        PartsList.from_bytes(raw, "parts.json")


def test_a_list_is_read_as_it_was_written(safe: Carried) -> None:
    assert PartsList.from_bytes(safe.listed.to_bytes(), "parts.json") == safe.listed


# Splitting


def test_parts_that_are_there_whole_are_not_written_again(safe: Carried) -> None:
    flip(safe.part(2))
    before = {path: path.stat().st_ino for path in safe.medium.glob("*.part-*")}
    assert write_parts(safe.whole, safe.medium, PART, 2, QUIET) == safe.listed
    changed = [path for path, inode in before.items() if path.stat().st_ino != inode]
    assert changed == [safe.part(2)]


def test_an_interrupted_split_has_no_list_and_goes_on(plain: Carried) -> None:
    (plain.medium / LIST_NAME).unlink()
    plain.part(6).unlink()
    inode = plain.part(1).stat().st_ino
    assert write_parts(plain.whole, plain.medium, PART, 0, QUIET) == plain.listed
    assert plain.part(1).stat().st_ino == inode


@pytest.mark.parametrize("size", [PART, 2 * PART])
def test_a_folder_with_another_files_parts_is_left_alone(plain: Carried, size: int) -> None:
    flip(plain.whole, 3 * PART)
    before = {path: path.read_bytes() for path in plain.medium.iterdir()}
    with pytest.raises(ImagesError, match="holds other parts"):
        write_parts(plain.whole, plain.medium, size, 0, QUIET)
    assert {path: path.read_bytes() for path in plain.medium.iterdir()} == before


def test_a_link_in_the_place_of_a_part_is_replaced_not_followed(plain: Carried, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"x" * PART)
    plain.part(1).unlink()
    plain.part(1).symlink_to(victim)
    write_parts(plain.whole, plain.medium, PART, 0, QUIET)
    assert victim.read_bytes() == b"x" * PART
    assert not plain.part(1).is_symlink()


def test_a_full_medium_leaves_no_part_of_a_part(plain: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: NamedFile, data: bytes) -> int:
        with self._named():
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(NamedFile, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_parts(plain.whole, plain.medium.parent / "full", PART, 0, QUIET)
    assert list((plain.medium.parent / "full").iterdir()) == []


def test_a_whole_that_changes_while_parity_is_made_is_refused(
    plain: Carried, monkeypatch: pytest.MonkeyPatch
) -> None:
    block_at = split_write.block_at

    def changed(*arguments: Any) -> tuple[bytes, int]:
        block, real = block_at(*arguments)
        return bytes(len(block)), real

    monkeypatch.setattr(split_write, "block_at", changed)
    folder = plain.medium.parent / "other"
    with pytest.raises(ImagesError, match="changed while it was split"):
        write_parts(plain.whole, folder, PART, 1, QUIET)
    assert not list(folder.glob("*parity*"))
    assert not (folder / LIST_NAME).exists()


@pytest.mark.parametrize(
    ("name", "size", "part", "parity", "message"),
    [
        ("a b.tar", 1, PART, 0, "a name for parts"),
        ("w", 0, PART, 0, "cannot be split"),
        ("w", 10**6, 100, 0, "at least 4096"),
        ("w", 1 << 40, 4096, 0, "at most 9999"),
        ("w", 40 * PART, PART, 2, "more than 32 in all"),
    ],
)
def test_what_cannot_be_split_is_refused(name: str, size: int, part: int, parity: int, message: str) -> None:
    with pytest.raises(ImagesError, match=message):
        check_plan(name, size, part, parity)


def test_sizes_are_read_as_media_are_sold() -> None:
    said = {"700M": 700_000_000, "4G": 4_000_000_000, "25GB": 25_000_000_000, "8192": 8192, "1k": 1000}
    assert {text: parse_size(text) for text in said} == said
    for text in ("", "4T", "-1", "1.5G", "0", "G", "4 G", "4GiB"):
        with pytest.raises(ImagesError, match="not a size"):
            parse_size(text)


# Parity


@pytest.mark.parametrize("lost", list(itertools.combinations(range(8), 2)))
def test_any_two_of_eight_may_be_lost(safe: Carried, lost: tuple[int, int]) -> None:
    names = list(safe.listed.expected())
    (safe.medium / names[lost[0]]).unlink()
    flip(safe.medium / names[lost[1]])
    joined = safe.join()
    assert set(joined.restored) == {names[index] for index in lost if index < 6}
    safe.whole_again()


def test_one_more_than_parity_restores_names_all(safe: Carried) -> None:
    for number in (1, 4):
        safe.part(number).unlink()
    flip(safe.medium / "whole.tar.parity-01")
    with pytest.raises(
        ImagesError, match=r"2 of 6 parts are not whole: .*0001 \(missing\), .*0004 \(missing\)"
    ):
        safe.join()
    assert not safe.out.exists()


def test_parity_that_changes_while_it_is_read_restores_nothing_wrong(
    safe: Carried, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe.part(2).unlink()
    restore = split_join.Code.restore

    def lie(self: split_join.Code, blocks: Any, lost: Any) -> list[bytes]:
        return [bytes(len(block)) for block in restore(self, blocks, lost)]

    monkeypatch.setattr(split_join.Code, "restore", lie)
    with pytest.raises(ImagesError, match="0002"):
        safe.join()
    assert not safe.out.exists()


def test_without_the_library_parity_says_so(safe: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyeclib.ec_iface", None)
    with pytest.raises(ImagesError, match="parity needs PyECLib"):
        write_parts(safe.whole, safe.medium.parent / "other", PART, 1, QUIET)
    assert not (safe.medium.parent / "other").exists()
    safe.join()  # whole parts need no library
    safe.whole_again()
