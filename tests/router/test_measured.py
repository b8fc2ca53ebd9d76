import json

import pytest

from routeiq_router.errors import RouterError
from routeiq_router.measured import parse_measured, read_measured, shown
from routeiq_router.strategies.registry import strategy_names


def test_what_is_shown_is_what_the_table_says():
    data = {"strategies": {"knn": {"a.jsonl.gz": {"gain": 0.05, "low": 0.04, "high": 0.061, "aiq": 0.6}}}}
    table = parse_measured(json.dumps(data).encode())
    assert shown(table["knn"]) == "+0.0500 [+0.0400, +0.0610] on a.jsonl.gz"
    assert shown({}) == shown({"a": {"gain": None}}) == "not measured"


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"strategies": {"knn": 1}}', b'{"strategies": {"knn": {"a": 1}}}']
)
def test_another_file_is_refused(data):
    with pytest.raises(RouterError, match=r"measured\.json"):
        parse_measured(data)


def test_the_table_of_this_build_is_of_strategies_that_exist():
    assert set(read_measured()) <= set(strategy_names())
