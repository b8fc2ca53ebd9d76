"""I5: `routeiq model inspect` names every file, its format, size and digest, and says why one is refused."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.signing.hostile.build import TENSORS, payload, tensor, tensors

from routeiq_appliance.cli.main import main
from routeiq_signing.errors import FormatError, SigningError
from routeiq_signing.formats.check import check_format
from routeiq_signing.formats.content import FileContent
from routeiq_signing.formats.inspection import inspect_path


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["model", "inspect", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "m"
    (made / "onnx").mkdir(parents=True)
    (made / "config.json").write_text("{}")
    (made / "weights.safetensors").write_bytes(TENSORS)
    (made / "onnx" / "README.md").write_text("card\n")
    (made / "model.sig").write_text("{}")
    return made


def test_an_ordinary_folder_is_accepted_with_formats_sizes_and_digests(folder: Path) -> None:
    done = _run(str(folder), "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["accepted"] is True
    found = {item["path"]: item for item in answer["files"]}
    assert {path: item["format"] for path, item in found.items()} == {
        "config.json": "json",
        "model.sig": "signature",
        "onnx/README.md": "text",
        "weights.safetensors": "safetensors",
    }
    assert found["weights.safetensors"]["size"] == len(TENSORS)
    assert found["weights.safetensors"]["sha256"] == hashlib.sha256(TENSORS).hexdigest()
    plain = _run(str(folder))
    assert (plain.exit_code, plain.stdout.splitlines()[-1]) == (0, "accepted, 4 files")


def test_one_file_is_inspected_by_itself(folder: Path, tmp_path: Path) -> None:
    assert _run(str(folder / "weights.safetensors")).exit_code == 0
    bad = tmp_path / "model.safetensors"
    bad.write_bytes(payload(tmp_path / "executed"))
    done = _run(str(bad))
    assert done.exit_code == 1
    assert "REFUSED" in done.stdout
    assert "model.safetensors: a Python pickle" in done.stdout
    assert hashlib.sha256(bad.read_bytes()).hexdigest() in done.stdout
    assert not (tmp_path / "executed").exists()


def test_a_refused_file_is_named_with_its_reason_and_the_others_still_are(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "model.pkl").write_bytes(payload(tmp_path / "executed"))
    (folder / "setup.py").write_text("import os\n")
    done = _run(str(folder), "--json")
    assert done.exit_code == 1
    answer = json.loads(done.stdout)
    reasons = {item["path"]: item["reason"] for item in answer["files"] if not item["accepted"]}
    assert answer["accepted"] is False
    assert sorted(reasons) == ["model.pkl", "setup.py"]
    assert "runs code when it is loaded" in reasons["model.pkl"]
    assert len(answer["files"]) == 6
    assert _run(str(folder)).stdout.splitlines()[-1] == "2 of 6 files refused"


@pytest.mark.parametrize(
    ("name", "as_shown"),
    [
        (b"a\nREFUSED x", r"a\nREFUSED x"),
        (b"\x1b[2J\x1b]0;owned\x07.json", r"\x1b[2J\x1b]0;owned\x07.json"),
        ("\u202egpj.json".encode(), r"\u202egpj.json"),
        (b"\xff.json", r"\udcff.json"),
        (b"\r.json", r"\r.json"),
        ("a\u2028b.json".encode(), r"a\u2028b.json"),
        ("a\x9bb.json".encode(), r"a\x9bb.json"),
    ],
)
def test_a_hostile_name_is_refused_and_shown_escaped(folder: Path, name: bytes, as_shown: str) -> None:
    with open(os.fsencode(folder) + b"/" + name, "wb") as file:  # noqa: PTH123 - a name that is no text
        file.write(b"{}")
    for arguments in ([str(folder)], [str(folder), "--json"]):
        done = _run(*arguments)
        assert done.exit_code == 1
        assert all(line.isprintable() for line in done.stdout.splitlines())
    refused = [item for item in json.loads(done.stdout)["files"] if not item["accepted"]]
    assert [item["path"] for item in refused] == [as_shown]
    alone = _run(os.fsdecode(os.fsencode(folder) + b"/" + name))
    assert all(line.isprintable() for line in alone.stdout.splitlines())


def test_links_pipes_and_folders_that_cannot_be_are_named_and_not_opened(folder: Path) -> None:
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "around").symlink_to(folder)
    os.mkfifo(folder / "pipe.json")
    done = _run(str(folder), "--json")
    reasons = {item["path"]: item["reason"] for item in json.loads(done.stdout)["files"] if item["reason"]}
    assert reasons == {
        "around": "a symbolic link",
        "link.json": "a symbolic link",
        "pipe.json": "not a regular file",
    }


def test_a_link_to_a_model_is_no_model(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    done = _run(str(tmp_path / "link"))
    assert (done.exit_code, "a symbolic link" in done.stdout) == (1, True)


def test_folders_nested_without_end_are_refused(tmp_path: Path) -> None:
    deep = tmp_path / "m"
    for _ in range(80):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "config.json").write_text("{}")
    assert [item.reason for item in inspect_path(tmp_path / "m")] == ["folders nested deeper than 64"]


def test_nothing_there_and_nothing_inside_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(SigningError, match="no such file|holds no files"):
            inspect_path(path)
    done = _run(str(tmp_path / "no\x1bne"))
    assert (done.exit_code, "\x1b" in done.stderr) == (1, False)


def test_a_large_file_is_read_in_parts(tmp_path: Path) -> None:
    size = 2 << 30
    large = tmp_path / "model.safetensors"
    with large.open("wb") as file:  # a hole, which takes no space
        head = tensors({"a": tensor(0, size)})
        file.write(head)
        file.truncate(len(head) + size)
    with large.open("rb") as file:
        content = FileContent(file.fileno(), len(head) + size, "model.safetensors")
        assert check_format(content, "model.safetensors") == "safetensors"


def test_a_file_that_becomes_shorter_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(TENSORS)
    with path.open("r+b") as file:
        content = FileContent(file.fileno(), len(TENSORS), "w.safetensors")
        file.truncate(20)
        with pytest.raises(FormatError, match="became shorter"):
            bytes(content[:])


def test_a_signature_that_is_none_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "model.sig").write_bytes(payload(tmp_path / "executed"))
    assert _run(str(folder)).exit_code == 1
