import pytest

from routeiq_vendor.debs.records import Relation, read_records, read_simulation
from routeiq_vendor.errors import DownloadError

SIMULATION = """\
Reading package lists...
The following NEW packages will be installed:
Inst gcc-12-base (12.2.0-14+deb12u1 Debian:12.12/oldstable [amd64])
Inst libc6 (2.36-9 Debian:12.12/oldstable, Debian-Security:12/oldstable-security [amd64]) []
Inst tzdata [2020a] (2025b-0+deb12u2 Debian-Security:12/oldstable-security [all])
Conf libc6 (2.36-9 Debian:12.12/oldstable [amd64])
"""


def test_plan_of_apt_is_read() -> None:
    assert read_simulation(SIMULATION) == {
        "gcc-12-base": "12.2.0-14+deb12u1",
        "libc6": "2.36-9",
        "tzdata": "2025b-0+deb12u2",
    }


def test_package_of_a_third_party_is_refused() -> None:
    with pytest.raises(
        DownloadError, match=r"nodejs 20: apt would take it from \. nodistro:nodistro, not from Debian"
    ):
        read_simulation("Inst nodejs (20 . nodistro:nodistro [amd64])")


def test_record_carries_source_hash_and_dependencies() -> None:
    (record,) = read_records(
        "Package: libpython3.11-stdlib\nSource: python3.11 (3.11.2-6)\nVersion: 3.11.2-6+b1\n"
        "Depends: libpython3.11-minimal (= 3.11.2-6), awk | mawk\nPre-Depends: libc6\nProvides: one, two (= 1)\n"
        f"Filename: ./pool/main/p/x_1%3a2_amd64.deb\nSize: 10\nSHA256: {'a' * 64}\n"
    )
    assert record.deb.model_dump() == {
        "version": "3.11.2-6+b1",
        "source": "python3.11",
        "source_version": "3.11.2-6",
        "filename": "pool/main/p/x_1%3a2_amd64.deb",
        "sha256": "a" * 64,
        "size": 10,
    }
    assert record.depends == (
        (Relation("libc6"),),
        (Relation("libpython3.11-minimal", "=", "3.11.2-6"),),
        (Relation("awk"), Relation("mawk")),
    )
    assert record.provides == {"one", "two"}


def test_record_without_sha256_is_passed_over() -> None:
    assert list(read_records("Package: a\nVersion: 1\nFilename: pool/a.deb\nMD5sum: 0\nSize: 1\n")) == []


@pytest.mark.parametrize(
    "line",
    ["SHA256: abc", "Filename: ../../etc/passwd", "Filename: /etc/passwd", "Size: x", "Version: $(id)"],
)
def test_record_that_no_lock_could_hold_is_refused(line: str) -> None:
    stanza = {"Package": "aa", "Version": "1", "Filename": "pool/aa.deb", "Size": "1", "SHA256": "a" * 64}
    key, _, value = line.partition(": ")
    text = "".join(f"{name}: {text}\n" for name, text in {**stanza, key: value}.items())
    with pytest.raises(DownloadError, match="^aa: apt's record of it cannot be read$"):
        list(read_records(text))
