from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from routeiq_vendor.errors import DownloadError
from routeiq_vendor.wheels.lock import Pin
from routeiq_vendor.wheels.pip import download, relay


def test_each_download_is_shown_with_its_name_size_and_bytes(progress: Any) -> None:
    said = relay(
        [
            "Collecting big\n",
            "  Downloading big-1.0-py3-none-any.whl (83.5 MB)\n",
            "Progress 0 of 83506384\n",
            "Progress 524288 of 83506384\n",
            "Progress 83506384 of 83506384\n",
            "Collecting small\n",
            "  Downloading https://host/path/small-2.0-py3-none-any.whl (9.1 kB)\n",
            "Saved ./small-2.0-py3-none-any.whl\n",
        ],
        progress,
    )
    assert progress.tasks == [["big 1.0", 83506384, 83506384], ["small 2.0", 9100, 9100]]
    assert "Saved ./small-2.0-py3-none-any.whl" in said


def test_what_the_cache_or_a_folder_gives_is_not_shown_as_a_download(progress: Any) -> None:
    relay(
        ["  Using cached big-1.0-py3-none-any.whl (83.5 MB)\n", "Processing /a/torch-2-py3-none-any.whl\n"],
        progress,
    )
    assert progress.tasks == []


def test_download_that_breaks_off_is_closed(progress: Any) -> None:
    said = relay(
        ["  Downloading big-1.0-py3-none-any.whl (83.5 MB)\n", "ERROR: connection reset\n"], progress
    )
    assert progress.names == ["big 1.0"]
    assert said == ["ERROR: connection reset"]


def test_wheel_for_another_python_is_not_taken(
    index: Path, wheel_maker: Callable[..., Path], tmp_path: Path, progress: Any
) -> None:
    wheel_maker(index, "demo", "1.0", tag="cp312-cp312-manylinux_2_28_x86_64")
    with pytest.raises(DownloadError, match=r"^demo 1\.0: "):
        download([Pin("demo", "1.0", frozenset({"a" * 64}))], tmp_path / "out", progress)
