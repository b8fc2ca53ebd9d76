"""docs/moving-from-litellm.md: what it shows is what the commands print, and what it says of variables is the table."""

import os
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from routeiq_appliance.cli.main import main
from routeiq_appliance.config.ignored import ignored
from routeiq_appliance.config.load import read_config
from routeiq_appliance.config.renamed import render_renamed

GUIDE = (Path(__file__).parents[3] / "docs" / "moving-from-litellm.md").read_text(encoding="utf-8")
THEIRS, MOVED = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)[:2]


def test_the_check_of_litellms_file_prints_what_the_guide_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"os\.environ/(\w+)", THEIRS):
        monkeypatch.delenv(name, raising=False)
    Path("litellm-config.yaml").write_text(THEIRS)
    done = CliRunner().invoke(main, ["config", "check", "litellm-config.yaml"])
    assert done.exit_code == 0, done.output
    shown = re.search(r"\$ routeiq config check litellm-config\.yaml\n(.*?)```", GUIDE, re.DOTALL)
    assert shown is not None
    assert done.stdout == shown[1]


def test_the_moved_file_is_acted_on_in_all_it_says() -> None:  # L4
    loaded = read_config(MOVED, {}, unset_is_a_mistake=False)
    assert ignored(loaded.config) == []
    theirs, moved = yaml.safe_load(THEIRS), yaml.safe_load(MOVED)
    assert [entry["model_name"] for entry in theirs["model_list"]] == [
        entry["model_name"] for entry in moved["model_list"]
    ]


def test_the_table_of_variables_is_that_of_the_start() -> None:  # L4
    assert render_renamed() in GUIDE, "put in what `config.renamed.render_renamed` returns"


def test_every_option_that_the_guide_names_exists() -> None:
    help_text = CliRunner().invoke(main, ["admin", "import-litellm", "--help"]).stdout
    for option in (
        "--dump",
        "--from-url-file",
        "--models-out",
        "--dry-run",
        "--unsafe-drop-limits",
        "--json",
    ):
        assert option in help_text
    commands = re.findall(r"^\$ routeiq (.*)$", GUIDE, re.MULTILINE)
    assert commands
    for command in commands:
        words = [word for word in command.split() if not word.startswith("-")][:2]
        done = CliRunner().invoke(main, [*words, "--help"], env=dict(os.environ))
        assert done.exit_code == 0, command
