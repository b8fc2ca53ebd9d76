"""Whether a model's folder may be loaded: signed, complete, and of allowed formats, in this order.

Two ways to be signed: an OMS signature `model.sig` in the folder, or an entry in the bundle's signed `bundle.json`
(images carry no signatures inside; the site mounts `bundle.json` and its signature). Nothing is parsed before its
digest was compared with a signed one, and what is returned are the bytes that were compared.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from routeiq_signing.errors import DocumentError, SigningError, VerificationError
from routeiq_signing.files import read_capped, write_atomic
from routeiq_signing.formats.consent import UNSAFE, check_marks, judge_files
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import BundleManifest
from routeiq_signing.model_files import SIGNATURE_NAME, digests, read_model_folder
from routeiq_signing.oms import SignedModel, sign_model, verify_model
from routeiq_signing.sigstore_bundle import read_message_bundle
from routeiq_signing.verify.order import signature_name

__all__ = [
    "VerifiedModel",
    "load_signed_manifest",
    "resign_model_folder",
    "sign_model_folder",
    "verify_model_folder",
]


@dataclass(frozen=True)
class VerifiedModel:
    """A model that may be loaded: its files' bytes, digests and formats by relative path, and who vouches for it.

    `unsafe` has the signer's reason for each file of a format that is not allowed and that two consents let in; such
    a file is here to be handed to a plugin, never to be unpickled by us.
    """

    name: str
    files: Mapping[str, bytes]
    digests: Mapping[str, str]
    formats: Mapping[str, str]
    vouched_by: str
    unsafe: Mapping[str, str] = field(default_factory=dict)


def verify_model_folder(
    folder: Path,
    *,
    key: PublicKey | Sequence[PublicKey],
    signature: Path | None = None,
    bundle_json: Path | None = None,
    models_root: Path | None = None,
    allowed_unsafe: Collection[str] = (),
) -> VerifiedModel:
    """Return the model in `folder` if `key` signed it: by `signature` (default: `model.sig` inside), else the bundle.

    Of several keys any will do (`model_keys`), also where a root asks for two of them: a model carries one signature.
    The bundle speaks for it when `bundle_json` lists exactly these files at the folder's path below `models_root`.
    `allowed_unsafe` are the digests of the site's configuration, the second consent of `formats.consent`; the first
    is in `model.sig` only, so what a bundle lists is never unsafe.
    Raises `VerificationError` or `FormatError` naming the file at fault.
    """
    inside = folder / SIGNATURE_NAME
    if signature is None and (inside.exists() or inside.is_symlink()):
        signature = inside
    keys = (key,) if isinstance(key, PublicKey) else tuple(key)
    files = read_model_folder(folder, leave_out=signature)
    found = digests(files)
    if signature is not None:
        signed = verify_model(read_capped(signature, LIMITS.manifest), found, keys, str(signature))
        vouched_by = f"{signature.name} by {signed.keyid}"
    elif bundle_json is not None and models_root is not None and bundle_json.exists():
        manifest, keyid = load_signed_manifest(bundle_json, keys)
        signed = SignedModel(_find_in_bundle(manifest, found, folder, models_root), {}, keyid)
        vouched_by = f"{bundle_json.name} by {keyid}"
    else:
        raise VerificationError(
            f"{folder}: not signed",
            subject=str(folder),
            hint="sign it with `routeiq model sign`, or mount the bundle.json that lists it and its signature",
        )
    judged = judge_files(files, found, marked=signed.unsafe, allowed=allowed_unsafe)
    return VerifiedModel(signed.name, files, found, judged.formats, vouched_by, judged.unsafe)


def load_signed_manifest(bundle_json: Path, keys: Sequence[PublicKey]) -> tuple[BundleManifest, str]:
    """Return the manifest in `bundle_json` and whose signature beside it was checked: of the first key that has one."""
    raw = read_capped(bundle_json, LIMITS.manifest)
    paths = [(bundle_json.with_name(signature_name(bundle_json.name, key.keyid)), key) for key in keys]
    path, key = next(((path, key) for path, key in paths if path.exists()), paths[0])
    if not path.exists():
        pinned = "the pinned key" if len(keys) == 1 else f"any of {len(keys)} release keys"
        raise VerificationError(f"{path}: missing, so nothing says that {pinned} signed", subject=str(path))
    try:
        signature = read_message_bundle(
            read_capped(path, LIMITS.signature), str(path), keyid=key.keyid, message=raw
        )
        if not key.verifies(signature, raw):
            raise VerificationError(f"{path}: the signature is not of {bundle_json.name}", subject=str(path))
        return BundleManifest.from_bytes(raw, str(bundle_json)), key.keyid
    except DocumentError as error:
        raise VerificationError(str(error), subject=error.subject) from None


def sign_model_folder(folder: Path, key: Signer, unsafe: Mapping[str, str] | None = None) -> Path:
    """Sign the model in `folder` with `key` and write `model.sig` into it; formats are checked first.

    `unsafe` marks digests (`sha256:…`) of files whose format is not allowed, with the reason why they are wanted.
    Raises `SigningError` for a mark that no such file has.
    """
    target = folder / SIGNATURE_NAME
    files = read_model_folder(folder, leave_out=target)
    found = digests(files)
    marks = check_marks(unsafe or {})
    formats = judge_files(files, found, marked=marks, allowed=marks.keys()).formats
    needed = {f"sha256:{found[path]}" for path, name in formats.items() if name == UNSAFE}
    for digest in marks:
        if digest not in needed:
            raise SigningError(
                f"{digest}: marked unsafe, but no file of {folder} needs that",
                subject=digest,
                hint="`routeiq model inspect` names the digest of each file and why it is refused",
            )
    write_atomic(target, sign_model(folder.resolve().name, found, key, marks))
    return target


def resign_model_folder(folder: Path, old: PublicKey, key: Signer, *, keep: bool) -> Path | None:
    """Sign the model that `old` signed with `key`, its marks included; return where the old signature was kept.

    A folder has room for one signature: the old one goes beside it, `FOLDER.<keyid>.sig`, for `--signature`. Raises
    `VerificationError` when the folder is not what `old` signed.
    """
    target = folder / SIGNATURE_NAME
    raw = read_capped(target, LIMITS.manifest)
    signed = verify_model(raw, digests(read_model_folder(folder, leave_out=target)), [old], str(target))
    kept = folder.with_name(f"{folder.resolve().name}.{old.keyid}.sig") if keep else None
    if kept is not None:
        write_atomic(kept, raw, replace=False)
    sign_model_folder(folder, key, signed.unsafe)
    return kept


def _find_in_bundle(
    manifest: BundleManifest, found: Mapping[str, str], folder: Path, models_root: Path
) -> str:
    try:
        place = folder.resolve().relative_to(models_root.resolve()).as_posix()
    except ValueError:
        raise VerificationError(f"{folder}: not below {models_root}", subject=str(folder)) from None
    # The fp32 artifact of an embedder has the same place as the one in the image: any whose files agree will do.
    candidates = [model for model in manifest.models if model.path == place]
    for model in candidates:
        if {entry.path: entry.sha256 for entry in model.files} == found:
            return model.name
    for model in candidates:
        signed = {entry.path: entry.sha256 for entry in model.files}
        fault = next(path for path in sorted(set(signed) | set(found)) if signed.get(path) != found.get(path))
        raise VerificationError(f"{fault}: not as bundle.json lists it for model {model.name}", subject=fault)
    raise VerificationError(f"{folder}: bundle.json lists no model at {place}", subject=str(folder))
