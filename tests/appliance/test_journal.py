import errno
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.errors import StateError
from routeiq_appliance.state.journal import Journal, JournalLimits
from routeiq_appliance.state.segments import Reader, claim, journal_names, segments


def kill(journal: Journal) -> None:
    """What the kernel does with a journal whose process is killed."""
    os.close(journal._descriptor)
    os.close(journal._claim._descriptor)


def read_all(reader: Reader, size: int = 100) -> list[bytes]:
    rows = []
    while batch := reader.read(size):
        rows += batch
        reader.taken()
    return rows


def test_rows_are_read_in_order_and_again_until_they_are_taken(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    for number in range(5):
        journal.append(b'{"n": %d}' % number)
    reader = journal.reader()
    assert reader.read(10_000) == reader.read(10_000) == [b'{"n": %d}' % number for number in range(5)]
    reader.taken()
    assert reader.read(10_000) == []
    journal.append(b'{"n":\n5}')  # a line feed would cut the line
    assert reader.read(1) == [b'{"n": 5}']
    assert journal.appended == 6


def test_a_journal_is_claimed_only_when_its_worker_is_dead(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.append(b"{}")
    assert journal_names(tmp_path) == ["w"]
    assert claim(tmp_path, "w") is None
    kill(journal)
    held = claim(tmp_path, "w")
    assert held is not None
    assert claim(tmp_path, "w") is None
    held.release(delete=True)
    assert not (tmp_path / "w.lock").exists()


def test_a_lock_whose_file_was_deleted_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *a, **k: (real(path, *a, **k), Path(path).unlink())[0])
    assert claim(tmp_path, "w") is None


def test_a_name_in_use_or_left_behind_is_not_taken_again(tmp_path: Path) -> None:
    first, second = Journal(tmp_path, "w"), Journal(tmp_path, "w")
    assert (first.name, second.name) == ("w", "w-2")
    first.append(b"{}")
    kill(first)
    assert Journal(tmp_path, "w").name == "w-3"
    assert segments(tmp_path, "w") == [1]


def test_segments_rotate_and_are_deleted_once_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w", limits=JournalLimits(segment_bytes=40, total_bytes=10_000))
    rows = [b'{"number": %03d}' % number for number in range(20)]
    for row in rows:
        journal.append(row)
    assert len(segments(tmp_path, "w")) == 7
    journal.sync()
    reader = journal.reader()
    assert read_all(reader) == rows
    assert segments(tmp_path, "w") == [7]
    journal.sync()
    assert journal.empty(*reader.position)
    reader.emptied()
    journal.append(b"{}")
    assert read_all(reader) == [b"{}"]


def test_a_full_journal_has_no_room_until_rows_are_shipped(tmp_path: Path) -> None:  # C7
    journal = Journal(tmp_path, "w", limits=JournalLimits(segment_bytes=50, total_bytes=100))
    while journal.has_room:
        journal.append(b"{}")
    journal.append(b"{}")  # of a call that was under way: kept all the same
    assert journal.appended == 35
    reader = journal.reader()
    assert len(read_all(reader)) == 35
    assert journal.has_room


def test_a_segment_with_rows_that_were_not_shipped_is_not_emptied(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    reader = journal.reader()
    assert not journal.empty(*reader.position)
    journal.append(b"{}")
    read_all(reader)
    journal.append(b'{"late": 1}')
    assert not journal.empty(*reader.position)
    assert read_all(reader) == [b'{"late": 1}']


def test_a_segment_that_cannot_be_truncated_stays(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.append(b"{}")
    reader = journal.reader()
    read_all(reader)
    journal._descriptor = os.open("/dev/full", os.O_WRONLY)
    assert not journal.empty(*reader.position)
    assert reader.read(10) == []


def test_the_torn_end_of_a_segment_is_skipped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dead.00000001.jsonl").write_bytes(b'{"n": 1}\n{"n": ')
    (tmp_path / "dead.00000003.jsonl").write_bytes(b'\n\n\n{"n": 2}\n\0\0\0')
    reader = Reader(tmp_path, "dead")
    with caplog.at_level(logging.WARNING):
        assert read_all(reader) == [b'{"n": 1}', b'{"n": 2}']
    assert reader.torn == 2
    assert [record.message for record in caplog.records] == ["ledger row torn: skipped"] * 2
    assert segments(tmp_path, "dead") == []


@given(lengths=st.lists(st.integers(1, 300), max_size=20), size=st.integers(1, 400), torn=st.integers(0, 50))
def test_all_whole_lines_are_read_whatever_the_size_of_a_batch(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], size: int, torn: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder, "w", limits=JournalLimits(segment_bytes=500, total_bytes=10_000))
    rows = [b"x" * length for length in lengths]
    for row in rows:
        journal.append(row)
    os.write(journal._descriptor, b"y" * torn)
    kill(journal)
    reader = Reader(folder, "w")
    assert read_all(reader, size) == rows
    assert reader.torn == bool(torn)


def test_a_folder_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="file/journal: not a directory") as caught:
        Journal(tmp_path / "file" / "journal", "w")
    assert caught.value.hint == "ROUTEIQ_DATA_DIR must be a directory that this user may write to"


def test_a_faulty_disk_keeps_rows_in_memory_and_sheds_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, "w")
    journal.append(b'{"n": 1}')
    real = os.write

    def tear(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[:4])

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", tear)
    journal.append(b'{"n": 2}')
    monkeypatch.setattr(os, "write", fail)
    journal.append(b'{"n": 3}')
    journal.retry()
    assert not journal.has_room
    assert journal.stuck_rows() == [b'{"n": 2}', b'{"n": 3}']
    monkeypatch.undo()
    reader = journal.reader()
    assert read_all(reader) == [b'{"n": 1}']
    journal.retry()
    assert journal.has_room
    assert journal.stuck_rows() == []
    assert read_all(reader) == [b'{"n": 2}', b'{"n": 3}']
    assert (reader.torn, segments(tmp_path, "w")) == (0, [1])


def test_a_part_of_a_line_that_cannot_be_removed_ends_its_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, "w")
    journal.append(b'{"n": 1}')
    real_write, real_open = os.write, os.open
    opening = True

    def fail(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    def open_unless_broken(*arguments: int, **more: int) -> int:
        return real_open(*arguments, **more) if opening else fail()  # type: ignore[arg-type]

    monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, data[:4]))
    monkeypatch.setattr(os, "ftruncate", fail)
    monkeypatch.setattr(os, "open", open_unless_broken)
    opening = False
    journal.append(b'{"n": 2}')  # nothing can be done: not even a new segment
    monkeypatch.setattr(os, "write", real_write)
    journal.retry()
    assert segments(tmp_path, "w") == [1]
    assert not journal.has_room
    opening = True
    journal.retry()
    monkeypatch.undo()
    journal.retry()
    assert journal.has_room
    reader = journal.reader()
    assert read_all(reader) == [b'{"n": 1}', b'{"n": 2}']
    assert reader.torn == 1


_FULL_DISK = """
import json, resource, sys
from pathlib import Path
from routeiq_appliance.state.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
journal = Journal(Path(sys.argv[1]), "w")
count = 0
while journal.has_room:
    journal.append(b'{"number": %6d}' % count)
    count += 1
for number in range(count, count + 50):
    journal.append(b'{"number": %6d}' % number)
journal.retry()
stuck = len(journal.stuck_rows())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
room_before = journal.has_room
journal.retry()
print(json.dumps([count + 50, stuck, room_before, journal.has_room]))
"""


def test_a_write_that_the_limit_of_a_file_cuts_short_is_taken_back(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )
    total, stuck, room_before, room_after = json.loads(done.stdout)
    assert (stuck, room_before, room_after) == (51, False, True)
    reader = Reader(tmp_path, "w")
    assert [json.loads(row)["number"] for row in read_all(reader, 4096)] == list(range(total))
    assert reader.torn == 0


@pytest.mark.e2e
def test_a_full_disk_loses_no_row_and_recovers(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    try:
        journal = Journal(disk / "journal", "w")
        count = 0
        while journal.has_room:
            journal.append(json.dumps({"number": count, "fill": "x" * 700}).encode())
            count += 1
        assert count > 300
        for number in range(count, count + 20):
            journal.append(json.dumps({"number": number}).encode())
        journal.retry()
        assert not journal.has_room
        assert len(journal.stuck_rows()) == 21
        subprocess.run(["mount", "-o", "remount,size=512k", str(disk)], check=True)
        journal.retry()
        assert journal.has_room
        reader = journal.reader()
        assert [json.loads(row)["number"] for row in read_all(reader, 4096)] == list(range(count + 20))
        assert reader.torn == 0
        journal.close()
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_closing_deletes_what_holds_no_row(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Journal(tmp_path, "empty").close()
    assert list(tmp_path.iterdir()) == []
    journal = Journal(tmp_path, "w")
    journal.append(b"{}")
    journal.close()
    assert segments(tmp_path, "w") == [1]
    held = claim(tmp_path, "w")
    assert held is not None
    held.release(delete=False)
