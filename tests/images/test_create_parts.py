"""The parts of a bundle that are decided without building one."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from routeiq_images.create import _alone as alone
from routeiq_images.create import _pending as pending
from routeiq_images.definition import load_definitions
from routeiq_images.errors import ImagesError
from routeiq_images.materials import source_files
from routeiq_images.proof.sbom import Part, make_sbom
from routeiq_images.readme import carried_readme
from routeiq_images.release import commit_time, load_release

ROOT = Path(__file__).resolve().parents[2]
PARTS = [
    Part("library", "libc6", "2.36-9", "pkg:deb/debian/libc6@2.36-9?arch=amd64", "1" * 64),
    Part("library", "numpy", "2.4.6", "pkg:pypi/numpy@2.4.6", "2" * 64, "BSD-3-Clause"),
    Part("machine-learning-model", "minilm", "0.1", "pkg:pypi/gt@0.1#minilm", "3" * 64, "Apache-2.0"),
]


def test_an_sbom_has_each_part_and_no_moment() -> None:
    raw = make_sbom("routeiq-gateway", "0.1.0", PARTS)
    assert raw == make_sbom("routeiq-gateway", "0.1.0", PARTS[::-1])
    document = json.loads(raw)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert "timestamp" not in document["metadata"]
    assert {item["purl"] for item in document["components"]} == {part.purl for part in PARTS}
    assert {item["type"] for item in document["components"]} == {"library", "machine-learning-model"}
    assert raw != make_sbom("routeiq-gateway", "0.1.0", PARTS[:2])


def test_the_committed_definitions_are_read() -> None:
    definitions = {item.name: item for item in load_definitions(ROOT / "images" / "definitions")}
    assert sorted(definitions) == ["routeiq-gateway", "routeiq-postgres", "routeiq-redis"]
    assert all(item.user.split(":")[0] not in {"0", "root"} for item in definitions.values())  # A14
    assert all(item.entrypoint[0] == "/usr/bin/tini" for item in definitions.values())  # A14


def test_a_wrong_definition_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('name = "x"\n')
    with pytest.raises(ImagesError, match="x.toml: debs: field required"):
        load_definitions(tmp_path)
    with pytest.raises(ImagesError, match="no definitions of images"):
        load_definitions(tmp_path / "none")


def test_the_release_names_the_files() -> None:
    release = load_release(ROOT / "images" / "release.toml")
    assert release.file_name() == f"routeiq-{release.version}-linux-amd64.tar"
    assert release.times(datetime(2026, 1, 1, tzinfo=UTC))[0] == "2026-01-01T00:00:00Z"
    carried_readme(release).decode("ascii")


def test_the_time_is_the_commits_and_never_the_clocks(tmp_path: Path) -> None:
    assert commit_time(tmp_path, {"SOURCE_DATE_EPOCH": "86400"}) == datetime(1970, 1, 2, tzinfo=UTC)
    with pytest.raises(ImagesError, match="not a git checkout"):
        commit_time(tmp_path, {})
    with pytest.raises(ImagesError, match="not a git checkout"):
        commit_time(tmp_path, {"SOURCE_DATE_EPOCH": "soon"})


def test_the_source_is_what_git_tracks(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "run").write_text("x")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "plain").write_text("x")
    (tmp_path / "plain").chmod(0o600)
    subprocess.run([*git, "add", "."], check=True)
    (tmp_path / "untracked").write_text("x")
    assert {path: executable for path, (_, executable) in source_files(tmp_path).items()} == {
        "plain": False,
        "run": True,
    }


def test_inputs_never_stand_without_their_bundle(tmp_path: Path) -> None:
    target = tmp_path / "inputs.tar"
    with pending(target) as place:
        place.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"

    def fail() -> None:
        with pending(target) as place:
            place.write_bytes(b"newer")
            raise ImagesError("the bundle failed")

    with pytest.raises(ImagesError):
        fail()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_two_builds_into_one_folder_do_not_take_away_each_others_files(tmp_path: Path) -> None:
    with alone(tmp_path / "dist"):
        with pytest.raises(ImagesError, match="another build is writing here"), alone(tmp_path / "dist"):
            pass
        with alone(tmp_path / "elsewhere"):
            pass
    with alone(tmp_path / "dist"):
        pass
