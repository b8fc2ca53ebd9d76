"""Whose signature a model needs: one pinned public key, or the release keys of the site's pinned root.

A site that follows a root names its `state.json` where another names a key. It is read anew at each load, so a key that
the site's newest root leaves out is refused from the next load on. What this cannot ask for: the root's threshold (a
model carries one signature), and how old a model is.
"""

from pathlib import Path

from routeiq_signing.keys import PublicKey, load_public_key
from routeiq_signing.trust.metadata import read_root
from routeiq_signing.trust.state import StateFolder

__all__ = ["STATE_NAME", "load_model_keys"]

STATE_NAME = "state.json"


def load_model_keys(path: Path) -> tuple[PublicKey, ...]:
    """Return the keys that may have signed a model, by keyid: of a PEM file, or of a site's trust folder or its state.

    Raises `SigningError` when there is none, or it is damaged.
    """
    if path.name != STATE_NAME and not path.is_dir():
        return (load_public_key(path),)
    state = StateFolder(path if path.is_dir() else path.parent).load()
    keys = read_root(state.root.encode(), "the site's root")[1].release.keys
    return tuple(keys[keyid] for keyid in sorted(keys))
