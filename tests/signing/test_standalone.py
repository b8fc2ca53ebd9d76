"""`verify.pyz` is what it says: our modules, the standard library of Python 3.9, under 100 KB, the same bytes (A8)."""

import ast
import io
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signing.conftest import NOW, SmallBundle, sha256
from tests.signing.pyz_twin import Twin, Verdict, twin
from tests.signing.trust_parts import Producer, Site, carrying

from routeiq_signing.deflate import deflate
from routeiq_signing.keys import PrivateKey, PublicKey
from routeiq_signing.pyz import MODULES, REPLACED, build_pyz
from routeiq_signing.trust.admin import add_roots, fingerprint
from routeiq_signing.verify import small_keys

SOURCES = Path(__file__).resolve().parents[2] / "signing" / "routeiq_signing"
MEMBERS = {**{name: name for name in MODULES}, **REPLACED}
FORGOTTEN = sorted(
    set(sys.stdlib_module_names) - {"tomllib", "distutils", "imp", "asyncore", "asynchat", "smtpd"}
)


@pytest.fixture(scope="module")
def pyz() -> bytes:
    return build_pyz()


@pytest.fixture
def site(tmp_path: Path, producer: Producer) -> Site:
    return Site(tmp_path)


@pytest.fixture
def tar(site: Site, small_bundle: SmallBundle, producer: Producer) -> Path:
    return site.receive(carrying(small_bundle, producer.metadata(small_bundle), producer.release_keys[0]))


def verdict(tar: Path, *arguments: str) -> Verdict:
    return twin().verdict(tar, *arguments, now=NOW)


def test_the_program_is_small_and_the_same_each_time(pyz: bytes) -> None:
    assert pyz == build_pyz()  # A13
    assert len(pyz) < 100_000


def test_the_program_is_the_packages_own_modules_as_they_are(pyz: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(pyz)) as archive:
        assert archive.testzip() is None
        found = {info.filename: archive.read(info) for info in archive.infolist()}
    assert found.pop("__main__.py").startswith(b"import sys\n")
    assert found.pop("routeiq_signing/__init__.py") == b""
    assert found == {
        f"routeiq_signing/{name}": (SOURCES / path).read_bytes() for name, path in MEMBERS.items()
    }


@pytest.mark.parametrize("name", MEMBERS)
def test_a_module_of_the_program_is_python_3_9_and_imports_the_standard_library(name: str) -> None:
    tree = ast.parse((SOURCES / MEMBERS[name]).read_text(), feature_version=(3, 9))
    future = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    assert future or not any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in names:
            ours, _, rest = module.partition("routeiq_signing.")
            if rest:
                assert ours == ""
                assert f"{rest.replace('.', '/')}.py" in MEMBERS, module
            else:
                assert module.split(".")[0] in FORGOTTEN or module == "routeiq_signing", module


def test_what_stands_in_for_another_module_has_its_names() -> None:
    for name, path in REPLACED.items():
        asked = set()
        for other in MEMBERS.values():
            for node in ast.walk(ast.parse((SOURCES / other).read_text())):
                if isinstance(node, ast.ImportFrom) and node.module == f"routeiq_signing.{name[:-3]}":
                    asked |= {alias.name for alias in node.names}
        defined = {
            node.name
            for node in ast.parse((SOURCES / path).read_text()).body
            if isinstance(node, ast.ClassDef | ast.FunctionDef)
        }
        imported = {"Offered"}  # handed on from tuf_offered
        assert asked <= defined | imported


@pytest.mark.parametrize("minor", [9, 10, 11, 12, 13, 14])
def test_the_program_runs_on_every_python_from_3_9(
    minor: int, tar: Path, producer: Producer, site: Site
) -> None:
    python = shutil.which(f"python3.{minor}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"no Python 3.{minor} on this machine")
    other = Twin(python)
    try:
        site.init(producer.root())
        key = site.path / "key.pem"
        key.write_bytes(producer.release_keys[0].public.pem)
        for arguments in (("--key", str(key)), ("--root", str(site.folder.path))):
            assert other.verdict(tar, *arguments, now=NOW).digest is not None
        tar.write_bytes(tar.read_bytes()[:-1])
        assert other.verdict(tar, "--key", str(key), now=NOW) == Verdict(None, "the end of the tar", 6)
    finally:
        other.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([b"", b"a", b"ab" * 200, b"def verify(", bytes(300), bytes(range(256))])).map(
        b"".join
    )
)
def test_what_deflate_packs_zlib_unpacks(data: bytes) -> None:
    packed = deflate(data)
    assert zlib.decompress(packed, wbits=-15) == data
    assert len(packed) <= len(data) * 9 // 8 + 3


def test_small_keys_are_keys() -> None:
    for _ in range(5):
        key = PrivateKey.generate()
        small, real = small_keys.PublicKey.from_pem(key.public.pem, "k"), key.public
        assert (small.pem, small.der, small.keyid) == (real.pem, real.der, real.keyid)
        signature = key.sign(b"m")
        assert small.verifies(signature, b"m")
        assert not small.verifies(signature, b"n")
        spread = real.pem.replace(b"\n", b"\r\n")
        assert (
            small_keys.PublicKey.from_pem(spread, "k").pem == PublicKey.from_pem(spread, "k").pem == real.pem
        )


def test_a_sites_state_is_judged_by_and_left_as_it_is(
    site: Site, tar: Path, producer: Producer, small_bundle: SmallBundle
) -> None:
    site.init(producer.root())
    site.verify(tar)
    before = {path.name: path.read_bytes() for path in site.folder.path.iterdir()}
    older = small_bundle.with_manifest(sequence=6)
    older_tar = site.receive(carrying(older, producer.metadata(older), producer.release_keys[0]), "older.tar")
    for root in (site.folder.path, site.folder.file):
        assert verdict(tar, "--root", str(root)).digest is not None
        assert verdict(older_tar, "--root", str(root)) == Verdict(None, "bundle.json", 4)
    told = twin().run(str(older_tar), "--root", str(site.folder.path), "--allow-rollback", "why not", now=NOW)
    assert told["code"] == 0
    assert "older than what this site had accepted; allowed: why not" in told["out"]
    assert {path.name: path.read_bytes() for path in site.folder.path.iterdir()} == before


def test_a_roots_file_is_judged_by_and_what_it_lacks_is_told(
    site: Site, tar: Path, producer: Producer
) -> None:
    root = site.path / "1.root.json"
    root.write_bytes(producer.root())
    told = twin().run(str(tar), "--root", str(root), now=NOW)
    assert told["code"] == 0
    assert f"the root's fingerprint is {fingerprint(root.read_bytes())}: compare it" in told["out"]
    assert "warning   one root and no site's state: no rollback protection" in told["out"]
    given = fingerprint(root.read_bytes()).upper()
    assert verdict(tar, "--root", str(root), "--fingerprint", given).digest is not None
    assert verdict(tar, "--root", str(root), "--fingerprint", "0" * 64) == Verdict(None, str(root), 2)


def test_a_root_that_its_own_keys_have_not_signed_is_refused(
    site: Site, tar: Path, producer: Producer
) -> None:
    root = site.path / "1.root.json"
    root.write_bytes(producer.root(signed_by=producer.root_keys[:1]))
    assert verdict(tar, "--root", str(root)) == Verdict(None, str(root), 2)


def test_a_chain_of_roots_is_followed_and_revokes(
    site: Site, tar: Path, producer: Producer, small_bundle: SmallBundle
) -> None:
    """The release key that signed `tar` is left out by root 3; the site and the program agree at every step."""
    other = producer.release_keys[1]
    roots = {}
    for version, release in ((1, None), (2, None), (3, [other])):
        roots[version] = site.path / f"{version}.root.json"
        roots[version].write_bytes(producer.root(version, release=release))
    first, second, third = (str(roots[version]) for version in (1, 2, 3))
    assert verdict(tar, "--root", first, second).digest is not None
    assert verdict(tar, "--root", first, third, second) == Verdict(None, "bundle.json", 2)
    assert verdict(tar, "--root", first, third) == Verdict(None, third, 4)  # root 2 is missing
    good = site.receive(
        carrying(small_bundle, producer.metadata(small_bundle, signed_by=[other]), other), "good.tar"
    )
    assert verdict(good, "--root", first, second, third).digest is not None
    site.init(roots[1].read_bytes())
    assert verdict(good, "--root", str(site.folder.path), second, third).digest is not None
    add_roots(site.folder, {second: roots[2].read_bytes(), third: roots[3].read_bytes()}, NOW)
    assert site.verify(good).root == 3


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--root"],
        ["--key", "a", "--root", "b"],
        ["--key", "a", "--allow-rollback", "because"],
        ["--key", "a", "--fingerprint", "0"],
        ["--root", "a", "--require", "2"],
        ["--key", "a", "--require", "0"],
        ["--key", "a", "--identity", "somebody@example.org"],
        ["--key", "a", "--old", "old.tar"],
        ["--trusted-root", "a"],
        ["--pkcs11-module", "a"],
        ["--roo", "a"],
    ],
)
def test_what_it_does_not_know_is_wrong_usage(arguments: list[str], tar: Path) -> None:
    told = twin().run(str(tar), *arguments, now=NOW)
    assert (told["code"], told["out"]) == (2, "")


@pytest.mark.parametrize(
    "option", ["--identity", "--issuer", "--trusted-root", "--trusted-root-sha256", "--old"]
)
def test_what_only_the_command_knows_is_refused_by_name(option: str, tar: Path) -> None:
    told = twin().run(str(tar), "--key", "a", option, "x", now=NOW)
    assert told["code"] == 2
    assert "only `routeiq bundle verify` knows these" in told["err"]


def test_every_option_of_the_command_is_known_or_refused_by_name(tar: Path) -> None:
    """What `routeiq bundle verify` learns, this program learns or names; here is where it is noticed."""
    from routeiq_appliance.cli.bundle import bundle

    options = {name for parameter in bundle.commands["verify"].params for name in parameter.opts}
    command_only = {
        "tar",
        "--no-record",
        "--trust-state",
        "--help",
        "-h",
    }  # it never records; --root names the state
    source = (SOURCES / "standalone.py").read_text()
    assert {name for name in options - command_only if f'"{name}"' not in source} == set()


def test_several_keys_of_which_so_many_must_have_signed(site: Site, small_bundle: SmallBundle) -> None:
    from routeiq_signing.bundle_file import pinned, verify_bundle_file
    from routeiq_signing.bundle_tar import sign_head, write_bundle_tar
    from routeiq_signing.errors import SigningError
    from routeiq_signing.progress import QuietProgress
    from routeiq_signing.verify.trust import SeveralKeys

    keys = [PrivateKey.generate() for _ in range(3)]
    for index, key in enumerate(keys):
        (site.path / f"{index}.pem").write_bytes(key.public.pem)
    tar = site.path / "two.tar"
    head = sign_head(small_bundle.manifest, small_bundle.attachments, *keys[:2])
    write_bundle_tar(tar, head, small_bundle.files, QuietProgress())
    for asked, required in (
        ([0, 1], 2),
        ([0, 2], 1),
        ([0, 2], 2),
        ([2], 1),
        ([0, 1, 2], 3),
        ([0, 1, 2], 2),
        ([0], 2),
    ):
        options = [item for index in asked for item in ("--key", str(site.path / f"{index}.pem"))]
        told = verdict(tar, *options, "--require", str(required))
        try:
            trust = SeveralKeys([pinned(keys[index].public) for index in asked], required)
            digest = verify_bundle_file(tar, key=trust, progress=QuietProgress(), now=NOW).report.digest
        except SigningError as error:
            expected = Verdict.refused(error)
        else:
            expected = Verdict.accepted(digest)
        assert told == expected, (asked, required)


def test_builders_can_be_asked_for(
    site: Site, tar: Path, producer: Producer, small_bundle: SmallBundle
) -> None:
    from routeiq_signing.trust.builders import write_builder_signature

    builders = [PrivateKey.generate() for _ in range(2)]
    options = ["--key", str(site.path / "producer.pem")]
    (site.path / "producer.pem").write_bytes(producer.release_keys[0].public.pem)
    for index, builder in enumerate(builders):
        (site.path / f"{index}.pem").write_bytes(builder.public.pem)
        options += ["--builder-key", str(site.path / f"{index}.pem")]
    write_builder_signature(tar, small_bundle.manifest.to_bytes(), builders[0])
    assert verdict(tar, *options) == Verdict(None, "bundle.json", 2)
    assert verdict(tar, *options, "--require-builders", "1").digest is not None
    write_builder_signature(tar, small_bundle.manifest.to_bytes(), builders[1])
    assert verdict(tar, *options).digest is not None
    assert verdict(tar, *options, "--require-builders", "3").digest is None


def test_a_delta_is_refused_by_name(site: Site, small_bundle: SmallBundle, tar: Path) -> None:
    from routeiq_images.carry.delta_write import write_delta
    from routeiq_signing.progress import QuietProgress

    newer = site.receive(small_bundle.with_manifest(sequence=8), "newer.tar")
    delta, key = site.path / "carried.delta", site.path / "key.pem"
    key.write_bytes(small_bundle.key.public.pem)
    write_delta(site.receive(small_bundle, "older.tar"), newer, delta, QuietProgress())
    told = twin().run(str(delta), "--key", str(key), now=NOW)
    assert told["code"] == 1
    assert "is a delta, it holds only what an older bundle lacks" in told["err"]
    assert "routeiq bundle apply" in told["err"]


def test_a_fingerprint_beside_a_state_is_refused(site: Site, tar: Path, producer: Producer) -> None:
    root = site.init(producer.root()).root.encode()
    told = twin().run(str(tar), "--root", str(site.folder.path), "--fingerprint", fingerprint(root), now=NOW)
    assert told["code"] == 1
    assert "--fingerprint goes with a root's file" in told["err"]


def test_the_systems_word_names_the_file_at_fault(site: Site, tar: Path, tmp_path: Path) -> None:
    odd = tmp_path / ("n" * 300)
    told = twin().run(str(tar), "--root", str(odd), now=NOW)
    assert told["code"] == 1
    assert told["err"].startswith(f"error: {odd}")


def test_keys_of_another_kind_are_refused_by_name(tmp_path: Path, tar: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    for private in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())):
        path = tmp_path / "other.pem"
        path.write_bytes(
            private.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        told = twin().run(str(tar), "--key", str(path), now=NOW)
        assert told["code"] == 1
        assert "no PEM public key of ECDSA P-256" in told["err"]


def test_it_starts_as_a_program(tar: Path, site: Site, producer: Producer) -> None:
    program = site.path / "verify.pyz"
    program.write_bytes(build_pyz())
    site.init(producer.root())
    command = [sys.executable, "-I", "-S", str(program), str(tar), "--root", str(site.folder.path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "trust     root 1: release keys 1 of 2, root keys 2 of 3" in result.stdout


def test_trust_init_tells_the_programs_digest(tmp_path: Path, producer: Producer, pyz: bytes) -> None:
    """The program comes with the tar: its digest is compared over the same second channel as the root's."""
    from click.testing import CliRunner

    from routeiq_appliance.cli.main import main

    root = tmp_path / "1.root.json"
    root.write_bytes(producer.root())
    command = ["trust", "init", str(root), "--fingerprint", fingerprint(root.read_bytes())]
    result = CliRunner().invoke(main, [*command, "--trust-state", str(tmp_path / "trust")])
    assert result.exit_code == 0, result.output
    assert f"verify_pyz   sha256 {sha256(pyz)} in this version" in result.stdout
