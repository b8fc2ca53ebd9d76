"""I5, A7: an unsafe format needs the signer's mark and the site's leave for the same digest; neither alone opens."""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.signing.hostile.build import payload

from routeiq_appliance.cli.main import main
from routeiq_appliance.config.load import parse_config
from routeiq_appliance.config.models import AutoSection
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.routing import artifact
from routeiq_signing.errors import DocumentError, FormatError, SigningError, VerificationError
from routeiq_signing.keys import PrivateKey, generate_key_files
from routeiq_signing.model_files import digests, read_model_folder
from routeiq_signing.model_trust import sign_model_folder, verify_model_folder
from routeiq_signing.oms import sign_model

_REASON = "the ranker of our plugin, reviewed 2026-11-02"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "executed"


@pytest.fixture
def folder(tmp_path: Path, canary: Path) -> Path:
    made = tmp_path / "models" / "routers" / "m"
    made.mkdir(parents=True)
    (made / "router.json").write_text('{"a": 1}')
    (made / "ranker.pkl").write_bytes(payload(canary))
    return made


@pytest.fixture
def mark(folder: Path) -> str:
    return "sha256:" + hashlib.sha256((folder / "ranker.pkl").read_bytes()).hexdigest()


def test_both_consents_let_the_file_lie_there_and_nothing_loads_it(
    folder: Path, key: PrivateKey, mark: str, canary: Path
) -> None:
    sign_model_folder(folder, key, {mark: _REASON})
    model = verify_model_folder(folder, key=key.public, allowed_unsafe=[mark])
    assert dict(model.formats) == {"ranker.pkl": "unsafe", "router.json": "json"}
    assert dict(model.unsafe) == {"ranker.pkl": _REASON}
    assert not canary.exists()


def test_the_signers_mark_alone_is_refused(folder: Path, key: PrivateKey, mark: str) -> None:
    sign_model_folder(folder, key, {mark: _REASON})
    with pytest.raises(
        FormatError, match=r"ranker\.pkl: a Python pickle.*routeiq\.unsafe_artifacts does not allow"
    ):
        verify_model_folder(folder, key=key.public)


def test_the_sites_leave_alone_is_refused(folder: Path, key: PrivateKey, mark: str) -> None:
    (folder / "model.sig").write_bytes(sign_model("m", digests(read_model_folder(folder)), key))
    with pytest.raises(FormatError, match="no signer marked it unsafe"):
        verify_model_folder(folder, key=key.public, allowed_unsafe=[mark])


def test_leave_for_another_digest_is_none(folder: Path, key: PrivateKey, mark: str) -> None:
    sign_model_folder(folder, key, {mark: _REASON})
    with pytest.raises(FormatError, match="does not allow its digest"):
        verify_model_folder(
            folder, key=key.public, allowed_unsafe=["sha256:" + "0" * 64, mark.upper(), mark[7:]]
        )


def test_a_mark_does_not_follow_a_changed_file(
    folder: Path, key: PrivateKey, mark: str, canary: Path
) -> None:
    sign_model_folder(folder, key, {mark: _REASON})
    (folder / "ranker.pkl").write_bytes(payload(canary, 5))
    with pytest.raises(VerificationError, match=r"ranker\.pkl: its digest is"):
        verify_model_folder(folder, key=key.public, allowed_unsafe=[mark])


@pytest.mark.parametrize(
    "variable", ["ROUTEIQ_UNSAFE_ARTIFACTS", "ROUTEIQ_ALLOW_PICKLE", "LITELLM_ALLOW_PICKLE"]
)
def test_no_environment_variable_opens_the_door(
    folder: Path, key: PrivateKey, mark: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_model_folder(folder, key, {mark: _REASON})
    monkeypatch.setenv(variable, mark)
    with pytest.raises(FormatError, match="does not allow its digest"):
        verify_model_folder(folder, key=key.public)


@pytest.mark.parametrize("name", ["weights.safetensors", "model.onnx", "router.json", "README.md", "t.model"])
def test_no_consent_makes_a_crooked_file_of_an_allowed_name_pass(
    folder: Path, key: PrivateKey, mark: str, name: str
) -> None:
    """What reads `*.safetensors` relies on its being one."""
    (folder / "ranker.pkl").replace(folder / name)
    with pytest.raises(FormatError, match="under this name no consent"):
        sign_model_folder(folder, key, {mark: _REASON})
    found = digests(read_model_folder(folder))
    (folder / "model.sig").write_bytes(sign_model("m", found, key, {mark: _REASON}))
    with pytest.raises(FormatError, match="under this name no consent"):
        verify_model_folder(folder, key=key.public, allowed_unsafe=[mark])


def test_a_mark_that_no_file_needs_is_not_signed(folder: Path, key: PrivateKey, mark: str) -> None:
    harmless = "sha256:" + digests(read_model_folder(folder))["router.json"]
    for other in ("sha256:" + "0" * 64, harmless):
        with pytest.raises(SigningError, match="no file of .* needs that"):
            sign_model_folder(folder, key, {mark: _REASON, other: _REASON})
    assert not (folder / "model.sig").exists()


@pytest.mark.parametrize("marks", [{"sha256:00": "x"}, {"md5:" + "0" * 64: "x"}, {"sha256:" + "0" * 64: " "},
                                   {"sha256:" + "0" * 64: "a\nb"}, {"sha256:" + "0" * 64: "x" * 501}])  # fmt: skip
def test_a_mark_without_digest_or_reason_is_refused(
    folder: Path, key: PrivateKey, marks: dict[str, str]
) -> None:
    with pytest.raises(DocumentError):
        sign_model_folder(folder, key, marks)


@pytest.mark.parametrize("marks", [["x"], "x", {"sha256:" + "0" * 64: 1}, {"x": "y"}, None])
def test_a_signed_statement_with_crooked_marks_is_refused(
    folder: Path, key: PrivateKey, marks: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "ranker.pkl").unlink()
    monkeypatch.setattr("routeiq_signing.oms.check_marks", lambda given: given)
    monkeypatch.setattr("routeiq_signing.oms.dict", lambda given: marks, raising=False)
    (folder / "model.sig").write_bytes(
        sign_model("m", digests(read_model_folder(folder)), key, {"any": "one"})
    )
    monkeypatch.undo()
    with pytest.raises(VerificationError, match="no model statement that this version reads"):
        verify_model_folder(folder, key=key.public)


def test_the_reference_library_verifies_a_model_with_marks(folder: Path, tmp_path: Path, mark: str) -> None:
    import model_signing

    key = generate_key_files(tmp_path / "k", b"secret")
    sign_model_folder(folder, key, {mark: _REASON})
    config = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "k.pub")
    config.verify(folder, folder / "model.sig")


def test_the_gateway_takes_leave_from_its_configuration_only_and_hides_the_file_from_the_router(
    folder: Path, key: PrivateKey, mark: str, canary: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, tmp_path: Path,
) -> None:  # fmt: skip
    models = tmp_path / "models"
    (models / "e").mkdir()
    (models / "e" / "config.json").write_text("{}")
    sign_model_folder(models / "e", key)
    sign_model_folder(folder, key, {mark: _REASON})
    pem = tmp_path / "key.pub"
    pem.write_bytes(key.public.pem)
    handed: list[dict[str, bytes]] = []

    class _Router:
        @classmethod
        def load(cls, files: dict[str, bytes], embedder: dict[str, bytes]) -> "_Router":
            handed.extend((files, embedder))
            return cls()

        def warm_up(self) -> None:
            pass

    monkeypatch.setattr(artifact, "Router", _Router)
    auto = AutoSection(artifact="routers/m", embedder="e")
    names = {"models_path": models, "trust_key": pem, "bundle_json": models / "none.json"}
    with pytest.raises(FormatError, match="does not allow its digest"):
        artifact.load_router(auto, **names)
    assert not handed
    artifact.load_router(auto, **names, unsafe_artifacts=[mark])
    assert [sorted(files) for files in handed] == [["router.json"], ["config.json"]]
    assert "by two consents; it is not loaded" in caplog.text
    assert not canary.exists()


def test_the_configuration_takes_digests_only(mark: str) -> None:
    text = "model_list: [{{model_name: a, litellm_params: {{model: openai/a, api_base: 'http://x/v1'}}}}]\n"
    text = text.format() + "routeiq: {unsafe_artifacts: ['%s']}\n"
    assert parse_config(text % mark, {}).routeiq.unsafe_artifacts == [mark]
    for wrong in (mark[7:], mark.upper(), "*", "all", mark + "\\n"):
        with pytest.raises(ConfigError, match="unsafe_artifacts"):
            parse_config(text % wrong, {})


def test_the_commands_sign_and_verify_with_both_consents(
    folder: Path, tmp_path: Path, mark: str, canary: Path
) -> None:
    generate_key_files(tmp_path / "k", b"secret")
    (tmp_path / "pass").write_text("secret\n")
    run = CliRunner().invoke
    sign = ["model", "sign", str(folder), "--key", f"{tmp_path}/k", "--passphrase-file", f"{tmp_path}/pass"]
    refused = run(main, sign)
    assert (refused.exit_code, "pickle" in refused.stderr) == (1, True)
    for wrong in (mark, f"{mark}=", f"{mark[7:]}=why"):
        assert run(main, [*sign, "--unsafe", wrong]).exit_code == 2
    assert run(main, [*sign, "--unsafe", f"{mark}={_REASON} (a=b)"]).exit_code == 0
    verify = ["model", "verify", str(folder), "--key", f"{tmp_path}/k.pub"]
    alone = run(main, verify)
    assert (alone.exit_code, "does not allow its digest" in alone.stderr) == (1, True)
    site = tmp_path / "config.yaml"
    site.write_text(
        "model_list: [{model_name: a, litellm_params: {model: openai/a, api_base: 'http://x/v1'}}]\n"
        f"routeiq: {{unsafe_artifacts: ['{mark}']}}\n"
    )
    both = run(main, [*verify, "--config", str(site), "--json"])
    assert both.exit_code == 0, both.output
    (unsafe,) = [item for item in json.loads(both.stdout)["files"] if item["format"] == "unsafe"]
    assert (unsafe["path"], unsafe["reason"]) == ("ranker.pkl", f"{_REASON} (a=b)")
    assert "two consents, loaded by nothing of ours" in run(main, [*verify, "--config", str(site)]).stdout
    assert not canary.exists()


def test_the_product_has_no_code_that_unpickles() -> None:
    """Consent or not, no module of ours can load one: none imports what would."""
    root = Path(__file__).parents[3]
    loads = ("import pickle\n", "import dill", "import cloudpickle", "import joblib", "from pickle",
             "allow_pickle=True", "torch.load(", "import marshal", "import shelve")  # fmt: skip
    for component in ("signing", "router", "appliance", "images", "vendor"):
        for path in (root / component).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not [item for item in loads if item in text], path
