"""What a site's root means for models: any release key may have signed one, a revoked key's is refused (A7, I4)."""

from pathlib import Path

import pytest
from tests.signing.conftest import NOW, SmallBundle
from tests.signing.trust_parts import Producer, Site

from routeiq_signing.errors import SigningError, TrustStateError, VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.model_keys import load_model_keys
from routeiq_signing.model_trust import load_signed_manifest, sign_model_folder, verify_model_folder
from routeiq_signing.sigstore_bundle import message_bundle
from routeiq_signing.trust.admin import add_roots


@pytest.fixture
def site(tmp_path: Path, producer: Producer) -> Site:
    site = Site(tmp_path)
    site.init(producer.root())
    return site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "models" / "m"
    made.mkdir(parents=True)
    (made / "router.json").write_text('{"a": 1}')
    return made


def test_a_model_signed_by_any_release_key_is_accepted(site: Site, folder: Path, producer: Producer) -> None:
    for key in producer.release_keys:
        sign_model_folder(folder, key)
        model = verify_model_folder(folder, key=load_model_keys(site.folder.file))
        assert model.vouched_by == f"model.sig by {key.public.keyid}"


def test_a_model_of_a_revoked_key_is_refused_at_the_next_load(
    site: Site, folder: Path, producer: Producer
) -> None:
    stolen, other = producer.release_keys
    sign_model_folder(folder, stolen)
    assert verify_model_folder(folder, key=load_model_keys(site.folder.file)).name == "m"
    follower = producer.root(2, release=[other])
    add_roots(site.folder, {"2.root.json": follower}, NOW)
    with pytest.raises(VerificationError, match="not signed by the pinned key") as caught:
        verify_model_folder(folder, key=load_model_keys(site.folder.file))
    assert "revoked" in str(caught.value.hint)
    sign_model_folder(folder, other)
    assert verify_model_folder(folder, key=load_model_keys(site.folder.file)).name == "m"


def test_root_keys_and_strangers_sign_no_model(site: Site, folder: Path, producer: Producer) -> None:
    for key in (producer.root_keys[0], PrivateKey.generate()):
        sign_model_folder(folder, key)
        with pytest.raises(VerificationError, match="not signed by any of the keys"):
            verify_model_folder(folder, key=load_model_keys(site.folder.file))


def test_a_bundle_that_any_release_key_signed_vouches(
    site: Site, tmp_path: Path, small_bundle: SmallBundle, producer: Producer
) -> None:
    raw = small_bundle.manifest.to_bytes()
    mounted = tmp_path / "bundle.json"
    mounted.write_bytes(raw)
    keys = load_model_keys(site.folder.file.parent)
    with pytest.raises(VerificationError, match="nothing says that any of 2 release keys signed"):
        load_signed_manifest(mounted, keys)
    second = producer.release_keys[1]
    keyid = second.public.keyid
    signature = tmp_path / f"bundle.json.{keyid}.sigstore.json"
    signature.write_bytes(message_bundle(keyid, raw, second.sign(raw)))
    assert load_signed_manifest(mounted, keys) == (small_bundle.manifest, keyid)


def test_one_pem_key_is_one_key(tmp_path: Path, key: PrivateKey) -> None:
    path = tmp_path / "routeiq.pub"
    path.write_bytes(key.public.pem)
    assert [item.keyid for item in load_model_keys(path)] == [key.public.keyid]


def test_a_state_that_is_missing_or_damaged_trusts_nobody(site: Site, tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="No such file"):
        load_model_keys(tmp_path / "none.pub")
    with pytest.raises(TrustStateError):
        load_model_keys(tmp_path / "none" / "state.json")
    site.folder.file.write_bytes(site.folder.file.read_bytes().replace(b'"last_seen"', b'"last_soon"'))
    with pytest.raises(TrustStateError, match=r"state\.json"):
        load_model_keys(site.folder.file)
