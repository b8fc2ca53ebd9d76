"""Starting containers of the bundle on a site: secrets in files, trust mounted beside them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.bundle import Bundle
from tests.e2e.sealed_site import Site

PORT = 4000


def start(
    site: Site,
    name: str,
    image: str,
    environ: Mapping[str, str],
    *arguments: str,
    options: Sequence[str] = (),
) -> None:
    """Start a container. Secrets go through a file: an argument is seen by every user of the host."""
    file = site.folder / f"{name}.env"
    file.touch(mode=0o600)
    file.write_text("".join(f"{key}={value}\n" for key, value in environ.items()), encoding="ascii")
    site.start(name, image, *arguments, options=[f"--env-file={file}", *options])


def lay_trust(bundle: Bundle, folder: Path) -> Path:
    """Lay out what a site mounts at /app/trust: `bundle.json`, its signature, the key that the site pins."""
    folder.mkdir()
    for name in ("bundle.json", f"bundle.json.{bundle.keyid}.sigstore.json"):
        (folder / name).write_bytes(bundle.member(name))
    (folder / "routeiq.pub").write_bytes(bundle.key.read_bytes())
    return folder
