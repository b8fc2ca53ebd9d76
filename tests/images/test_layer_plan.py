"""A13: a changed part changes its own layer; every file keeps its place, mode and owner."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from routeiq_images.layer_plan import Plan, bucket, split_tree
from routeiq_images.python_layers import owners
from routeiq_images.tree import Entry, Tree

PLAN = Plan(alone=100, shared=3)
NAMES = st.text("abcdef-", min_size=1, max_size=8)


def test_large_parts_are_alone_and_small_ones_share() -> None:
    layers = PLAN.layers({"big": 100, "bigger": 5000, "a": 99, "b": 1})
    assert (layers["big"], layers["bigger"]) == ("big", "bigger")
    assert layers["a"].startswith("others ")
    assert layers["b"].startswith("others ")


@given(st.dictionaries(NAMES, st.integers(0, 200)), NAMES, st.integers(0, 200))
def test_a_new_or_changed_part_moves_no_other(sizes: dict[str, int], name: str, size: int) -> None:
    before, after = PLAN.layers(sizes), PLAN.layers({**sizes, name: size})
    assert all(after[other] == layer for other, layer in before.items() if other != name)


@given(NAMES, st.integers(1, 60))
def test_a_bucket_is_one_of_its_count(name: str, count: int) -> None:
    assert 1 <= bucket(name, count) <= count


@given(
    st.dictionaries(st.sampled_from(["a/b/c", "a/b/d", "a/e", "f", "g/h/i/j", "g/k"]), st.sampled_from("xyz"))
)
def test_layers_over_each_other_are_the_tree(layer_of: dict[str, str]) -> None:
    tree = Tree()
    for path in ("a/b/c", "a/b/d", "a/e", "f", "g/h/i/j", "g/k"):
        tree.file(path, path.encode(), 0o755)
    tree.directory("g/h", 0o1777, uid=7)
    tree.directory("empty/folder", 0o700)
    tree.link("l", "f")
    merged: dict[str, Entry] = {}
    files = 0
    for name, layer in split_tree(tree, layer_of).items():
        for path, entry in layer.items():
            assert merged.get(path, entry) == entry
            files += not entry.is_directory
            assert entry.is_directory or layer_of.get(path, "") == name
            merged[path] = entry
    assert merged == dict(tree.items())
    assert files == 7


def test_a_file_belongs_to_the_wheel_that_records_it(tmp_path: Path) -> None:
    record = tmp_path / "My_Tool-1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text('tool/a.py,sha256=x,1\n"tool/with,comma.txt",,\nMy_Tool-1.0.dist-info/RECORD,,\n')
    for path in ("tool/__pycache__/a.cpython-311.pyc", "tool/__pycache__/stray.cpython-311.pyc"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    assert owners(tmp_path) == {
        "tool/a.py": "my-tool",
        "tool/with,comma.txt": "my-tool",
        "My_Tool-1.0.dist-info/RECORD": "my-tool",
        "tool/__pycache__/a.cpython-311.pyc": "my-tool",
    }
