"""I5: a corpus of hostile files: each is refused, none is executed, none takes more than its share to say so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.signing.hostile import pickles, polyglots
from tests.signing.hostile.corpus import CORPUS

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.check import check_format

_ROOT = Path(__file__).parents[3]
_ARMED = (*pickles.CORPUS, *polyglots.CORPUS)


def test_the_corpus_is_large_and_its_payloads_are_armed(tmp_path: Path) -> None:
    assert len(CORPUS) >= 60
    assert sum(CORPUS[attack](tmp_path).run is not None for attack in _ARMED) >= 40


@pytest.mark.parametrize("attack", CORPUS)
def test_it_is_refused_and_not_executed(attack: str, tmp_path: Path) -> None:
    canary = tmp_path / "executed"
    hostile = CORPUS[attack](canary)
    with pytest.raises(FormatError, match=f"(?s){hostile.says}") as refused:
        check_format(hostile.data, hostile.name)
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) <= 1000
    assert not canary.exists()


@pytest.mark.parametrize("attack", _ARMED)
def test_a_careless_program_would_have_executed_it(attack: str, tmp_path: Path) -> None:
    """The canary proves something only where the payload works."""
    canary = tmp_path / "executed"
    hostile = CORPUS[attack](canary)
    if hostile.run is not None:
        hostile.run(hostile.data)
        assert canary.exists()


def test_none_takes_more_than_a_bounded_share_nor_does_anything(tmp_path: Path) -> None:
    """Each file is judged in one process of 768 MB and a minute of processor time, watched by an audit hook."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    canary = tmp_path / "executed"
    names = {}
    for number, build in enumerate(CORPUS.values()):
        hostile = build(canary)
        (folder / str(number)).write_bytes(hostile.data)
        names[str(number)] = hostile.name
    (tmp_path / "names.json").write_text(json.dumps(names))
    watched = Path(__file__).with_name("watched.py")
    done = subprocess.run(
        [sys.executable, str(watched), str(folder), str(tmp_path / "names.json")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(_ROOT / "signing")},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout)
    assert answer["refused"] == len(CORPUS)
    assert answer["events"] == []
    assert answer["peak_kb"] < 768 << 10
    assert not canary.exists()
