"""README.txt of a bundle: what to type at the other end."""

from routeiq_images.release import Release

__all__ = ["carried_readme"]

_TEXT = """RouteIQ Appliance {version}

You need the public key (routeiq.pub) from whoever sent this, by another way than this medium.

1. Verify. Stock Python 3.9 or newer is enough:

     tar -xf {tar} verify.pyz
     python3 verify.pyz {tar} --key routeiq.pub
     (where the site trusts a root: --root /var/lib/routeiq/trust, or --root 1.root.json --fingerprint HEX)

   The verifier came with the tar, so compare its digest (sha256sum verify.pyz) over a second channel once, or
   verify by hand:

     tar -xf {tar}
     openssl dgst -sha256 -verify routeiq.pub -signature SHA256SUMS.sig SHA256SUMS
     sha256sum --quiet -c SHA256SUMS

2. Load the images on one host, or push everything into your registry:

     podman load -i {tar}        (or: docker load -i {tar})
     podman run --rm --network host -v "$PWD:/media:ro" routeiq.local/routeiq-gateway:{version} \\
       bundle mirror /media/{tar} --to REGISTRY/PREFIX --key /media/routeiq.pub

3. Install with Helm:

     helm install routeiq oci://REGISTRY/PREFIX/charts/routeiq-gateway --version {version} -f your-values.yaml
"""


def carried_readme(release: Release) -> bytes:
    """Return the text, ASCII, for this release."""
    return _TEXT.format(version=release.version, tar=release.file_name()).encode("ascii")
