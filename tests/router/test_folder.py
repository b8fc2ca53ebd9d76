import io
import pickle
import zipfile

import pytest

from routeiq_router.artifact import dump_artifact
from routeiq_router.errors import RouterError
from routeiq_router.folder import read_unsigned, write_artifact
from routeiq_signing.errors import RouteIQError


@pytest.fixture
def folder(make_artifact, tmp_path):
    write_artifact(tmp_path / "a", dump_artifact(make_artifact()))
    return tmp_path / "a"


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return out.getvalue()


def test_what_was_written_is_read(folder, make_artifact):
    assert read_unsigned(folder) == dump_artifact(make_artifact())


@pytest.mark.parametrize("name", ["weights.safetensors", "router.json", "README.md", "notes/readme.txt"])
@pytest.mark.parametrize("wrap", [lambda data: data, zipped], ids=["plain", "nested"])
def test_a_pickle_is_refused_by_content_whatever_its_name(folder, name, wrap):  # I5
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(wrap(pickle.dumps({"weights": [1.0]}, protocol=4)))
    with pytest.raises(RouteIQError, match=f"^{name}: "):
        read_unsigned(folder)


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    (tmp_path / "outside.json").write_text("{}")
    (folder / "router.json").unlink()
    (folder / "router.json").symlink_to(tmp_path / "outside.json")
    with pytest.raises(RouteIQError, match="symbolic link"):
        read_unsigned(folder)


def test_a_folder_of_something_else_is_not_written_to(tmp_path):
    (tmp_path / "holiday.txt").write_text("photos")
    with pytest.raises(RouterError, match="not empty, and no router artifact"):
        write_artifact(tmp_path, {"router.json": b"{}"})
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_an_artifact_may_be_replaced(folder):
    write_artifact(folder, {"router.json": b"{}"})
    assert (folder / "router.json").read_bytes() == b"{}"
