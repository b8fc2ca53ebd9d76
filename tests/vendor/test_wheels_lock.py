import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_vendor.errors import LockError
from routeiq_vendor.wheels.lock import Pin, choose, moved, read_lock

A, B, C = "a" * 64, "b" * 64, "c" * 64
LOCK = f"""\
# comment
aiohttp==3.13.0 \\
    --hash=sha256:{B} \\
    --hash=sha256:{A}
    # via
    #   -r gateway.in
torch==2.13.0+cpu \\
    --hash=sha256:{C}
    # via -r export.in

# The following packages are considered to be unsafe in a requirements file:
Psycopg_Binary==3.3.9 --hash=sha256:{A}
"""


def test_lock_of_pip_tools_is_read() -> None:
    assert read_lock(LOCK, "x.txt") == (
        Pin("aiohttp", "3.13.0", frozenset({A, B})),
        Pin("psycopg-binary", "3.3.9", frozenset({A})),
        Pin("torch", "2.13.0+cpu", frozenset({C})),
    )


def test_pin_is_given_to_pip_with_all_its_hashes() -> None:
    assert read_lock(LOCK, "x.txt")[0].line == f"aiohttp==3.13.0 --hash=sha256:{A} --hash=sha256:{B}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("aiohttp==3.13.0", "x.txt: aiohttp has no SHA-256 hash"),
        (f"aiohttp>=3 --hash=sha256:{A}", "x.txt: aiohttp is not pinned to one version"),
        (f"aiohttp==3,!=3.1 --hash=sha256:{A}", "x.txt: aiohttp is not pinned to one version"),
        (f"aiohttp --hash=sha256:{A}", "x.txt: aiohttp is not pinned to one version"),
        (f"a @ https://example.org/a.whl --hash=sha256:{A}", "x.txt: a is not pinned to one version"),
        (f'a==1 ; python_version < "3.11.3" --hash=sha256:{A}', "x.txt: a is not pinned to one version"),
        ("aiohttp==3.13.0 --hash=sha256:abc", "x.txt: aiohttp has no SHA-256 hash"),
        (f"-e ./here --hash=sha256:{A}", "x.txt: not a hashed requirement: -e ./here"),
        ("--index-url https://example.org/simple", "x.txt: not a hashed requirement: --index-url"),
        (f"a==1 --hash=sha256:{A}\nA==2 --hash=sha256:{B}", "x.txt: a is pinned twice"),
    ],
)
def test_what_is_not_an_exact_hashed_pin_is_refused(line: str, message: str) -> None:
    with pytest.raises(LockError, match=f"^{message}"):
        read_lock(line, "x.txt")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        pins = read_lock(text, "x.txt")
    except LockError:
        return
    assert all(pin.hashes for pin in pins)


NUMPY = Pin("numpy", "2.4.6", frozenset({A, B}))


@pytest.mark.parametrize(
    ("known", "chosen"),
    [
        # The newest glibc that Debian 12 has wins.
        (
            {
                "numpy-2.4.6-cp311-cp311-manylinux_2_17_x86_64.whl": A,
                "numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl": B,
            },
            "numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl",
        ),
        (
            {"numpy-2.4.6-cp310-abi3-manylinux2014_x86_64.whl": A},
            "numpy-2.4.6-cp310-abi3-manylinux2014_x86_64.whl",
        ),
        ({"numpy-2.4.6-py3-none-any.whl": A}, "numpy-2.4.6-py3-none-any.whl"),
        # Other interpreters, C libraries, machines, releases, and a newer glibc do not run there.
        ({"numpy-2.4.6-cp312-cp312-manylinux_2_28_x86_64.whl": A}, None),
        ({"numpy-2.4.6-cp311-cp311-musllinux_1_2_x86_64.whl": A}, None),
        ({"numpy-2.4.6-cp311-cp311-manylinux_2_28_aarch64.whl": A}, None),
        ({"numpy-2.4.6-cp311-cp311-manylinux_2_39_x86_64.whl": A}, None),
        ({"numpy-2.4.5-cp311-cp311-manylinux_2_28_x86_64.whl": A}, None),
        # A file that the lock does not name, whatever it is called.
        ({"numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl": C}, None),
        ({"numpy.tar.gz": A}, None),
    ],
)
def test_target_decides_which_wheel_is_meant(known: dict[str, str], chosen: str | None) -> None:
    assert choose(NUMPY, known) == chosen


def test_choice_does_not_depend_on_order() -> None:
    names = ["numpy-2.4.6-py3-none-any.whl", "numpy-2.4.6-cp311-cp311-manylinux2014_x86_64.whl"]
    assert choose(NUMPY, dict.fromkeys(names, A)) == choose(NUMPY, dict.fromkeys(reversed(names), A))


def test_moves_are_listed_with_old_and_new() -> None:
    old = [Pin("a", "1", frozenset({A})), Pin("b", "1", frozenset({A})), Pin("c", "1", frozenset({A}))]
    new = [Pin("a", "2", frozenset({A})), Pin("b", "1", frozenset({B})), Pin("d", "1", frozenset({A}))]
    assert moved(old, new) == [("a", "1", "2"), ("c", "1", "-"), ("d", "-", "1")]
