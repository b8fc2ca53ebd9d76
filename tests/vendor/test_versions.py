from itertools import pairwise

import pytest

from routeiq_vendor.errors import LockError
from routeiq_vendor.versions import compare


@pytest.mark.parametrize(
    ("kind", "ascending"),
    [
        ("pypi", ["1.0.dev1", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.1", "1!0.1"]),
        ("deb", ["1.0~rc1-1", "1.0-1~deb12u2", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.10-1", "1:0.1-1"]),
        ("npm", ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0"]),
    ],
)
def test_versions_are_ordered_as_their_ecosystem_does(kind: str, ascending: list[str]) -> None:
    for one, two in pairwise(ascending):
        assert (compare(kind, one, two), compare(kind, two, one), compare(kind, one, one)) == (-1, 1, 0)


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("pypi", "not a version"),
        ("deb", "1.0 0"),
        ("npm", "1.0"),
        ("cargo", "1.0.0"),
        ("pypi", "1" * 100_000),
    ],
)
def test_what_is_no_version_is_an_error_and_never_equal(kind: str, version: str) -> None:
    with pytest.raises(LockError):
        compare(kind, version, version)
