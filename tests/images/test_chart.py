"""The chart as an OCI artifact: the same bytes from any folder, accepted by the real helm."""

import hashlib
import io
import json
import os
import shutil
import tarfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml

from routeiq_images.chart import (
    CHART_CONFIG_MEDIA_TYPE,
    CHART_LAYER_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE,
    package_chart,
)
from routeiq_images.errors import ImagesError
from routeiq_images.release import load_release

CREATED = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINIMAL = "apiVersion: v2\nname: small\nversion: 1.2.3\nappVersion: 4.5.6\ndescription: a chart\n"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(MINIMAL)
    (folder / "templates" / "a.yaml").write_text("kind: ConfigMap\n")
    return folder


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_another_folder_time_and_umask_give_the_same_bytes(chart: Path, tmp_path: Path) -> None:  # A13
    first = package_chart(chart, created=CREATED)
    old = os.umask(0o077)
    try:
        other = Path(shutil.copytree(chart, tmp_path / "else" / "where", copy_function=shutil.copyfile))
    finally:
        os.umask(old)
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
    assert package_chart(other, created=CREATED.astimezone(timezone(timedelta(hours=14)))) == first


def test_the_manifest_names_what_helm_wants(small: Path) -> None:
    artifact = package_chart(small, created=CREATED)
    manifest = json.loads(artifact.manifest)
    assert manifest["mediaType"] == MANIFEST_MEDIA_TYPE
    assert manifest["config"] == {
        "mediaType": CHART_CONFIG_MEDIA_TYPE,
        "digest": digest(artifact.config),
        "size": len(artifact.config),
    }
    assert manifest["layers"] == [
        {"mediaType": CHART_LAYER_MEDIA_TYPE, "digest": digest(artifact.layer), "size": len(artifact.layer)}
    ]
    assert manifest["annotations"]["org.opencontainers.image.created"] == "2026-11-21T12:00:00Z"
    assert json.loads(artifact.config) == yaml.safe_load(MINIMAL)
    assert (artifact.name, artifact.version, artifact.app_version) == ("small", "1.2.3", "4.5.6")


def test_the_archive_says_nothing_of_its_builder(small: Path) -> None:  # A13
    with tarfile.open(fileobj=io.BytesIO(package_chart(small, created=CREATED).layer)) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == ["small/Chart.yaml", "small/templates/a.yaml"]
    for member in members:
        assert (member.mode, member.uid, member.gid, member.uname, member.gname) == (0o644, 0, 0, "", "")
        assert member.mtime == 315532800
        assert member.isfile()


def test_only_content_decides(small: Path) -> None:
    before = package_chart(small, created=CREATED)
    (small / "templates" / "a.yaml").write_text("kind: Secret\n")
    after = package_chart(small, created=CREATED)
    assert before.layer != after.layer
    assert before.config == after.config


def test_helm_reads_the_archive(helm, chart: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    artifact = package_chart(chart, created=CREATED)
    archive = tmp_path / "chart.tgz"
    archive.write_bytes(artifact.layer)
    shown = yaml.safe_load(helm("show", "chart", archive).stdout)
    assert shown == json.loads(artifact.config)
    rendered = helm("template", "r", archive, "--values", chart / "values-airgap.yaml").stdout
    assert rendered == helm("template", "r", chart, "--values", chart / "values-airgap.yaml").stdout


def test_helm_lints_each_way_to_install(helm, chart: Path) -> None:  # type: ignore[no-untyped-def]  # B5
    for flags in ([], ["--values", chart / "values-airgap.yaml"]):
        said = helm("lint", chart, *flags).stdout
        assert "1 chart(s) linted, 0 chart(s) failed" in said
        assert "WARNING" not in said


def test_helm_itself_packages_the_same_files(helm, chart: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    helm("package", chart, "--destination", tmp_path)
    (theirs,) = tmp_path.glob("*.tgz")
    with (
        tarfile.open(theirs) as one,
        tarfile.open(fileobj=io.BytesIO(package_chart(chart, created=CREATED).layer)) as two,
    ):
        names = {member.name for member in one.getmembers()}
        assert names == {member.name for member in two.getmembers()}
        for name in names - {"routeiq-gateway/Chart.yaml"}:  # helm writes that one anew
            assert one.extractfile(name).read() == two.extractfile(name).read()  # type: ignore[union-attr]


def test_the_chart_has_the_releases_version(chart: Path) -> None:
    release = load_release(Path(__file__).parents[2] / "images" / "release.toml")
    artifact = package_chart(chart, created=CREATED)
    assert (artifact.version, artifact.app_version) == (release.version, release.version)


def test_a_link_is_refused(small: Path) -> None:
    (small / "templates" / "b.yaml").symlink_to("/etc/passwd")
    with pytest.raises(ImagesError, match=r"b\.yaml: a chart holds regular files only"):
        package_chart(small, created=CREATED)


def test_a_hidden_file_is_refused(small: Path) -> None:
    (small / ".env").write_text("SECRET=1")
    with pytest.raises(ImagesError, match=r"\.env: a hidden file has no place in a chart"):
        package_chart(small, created=CREATED)


def test_a_file_too_large_is_refused(small: Path) -> None:
    (small / "big").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(ImagesError, match="big: too large for a chart"):
        package_chart(small, created=CREATED)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no chart here, Chart.yaml is missing"),
        ("{", "Chart.yaml: not YAML"),
        ("- a list", "must be there and be strings"),
        ("apiVersion: v2\nname: x\nversion: 1.0\nappVersion: 1.0.0\n", "must be there and be strings"),
    ],
)
def test_a_folder_that_is_no_chart_is_refused(small: Path, text: str | None, message: str) -> None:
    if text is None:
        (small / "Chart.yaml").unlink()
    else:
        (small / "Chart.yaml").write_text(text)
    with pytest.raises(ImagesError, match=message):
        package_chart(small, created=CREATED)
