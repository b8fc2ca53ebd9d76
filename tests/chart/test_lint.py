"""The chart and its packed form pass helm's own strict look, however the chart is installed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from routeiq_images.chart import package_chart


@pytest.fixture(scope="session")
def packed(chart: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .tgz that travels in the bundle."""
    path = tmp_path_factory.mktemp("packed") / "routeiq-gateway-0.1.0.tgz"
    path.write_bytes(package_chart(chart, created=datetime(2026, 11, 21, tzinfo=UTC)).layer)
    return path


def lint(helm, path: Path, flags) -> None:  # type: ignore[no-untyped-def]
    said = helm("lint", "--strict", path, *flags).stdout
    assert "1 chart(s) linted, 0 chart(s) failed" in said
    assert "WARNING" not in said
    assert "ERROR" not in said


def test_the_chart_lints_strictly(helm, chart: Path, flags, case) -> None:  # type: ignore[no-untyped-def]  # B5
    lint(helm, chart, flags(*case))


def test_the_bare_chart_lints_strictly(helm, chart: Path) -> None:  # type: ignore[no-untyped-def]  # B5
    lint(helm, chart, [])


def test_the_packed_chart_lints_strictly(helm, packed: Path, flags, case) -> None:  # type: ignore[no-untyped-def]  # A10, B5
    lint(helm, packed, flags(*case))


def test_the_packed_chart_renders_the_same(helm, packed: Path, flags, case, template) -> None:  # type: ignore[no-untyped-def]  # A10
    said = helm("template", "routeiq", packed, "--namespace", "routeiq", *flags(*case)).stdout
    assert said == template(*case)
