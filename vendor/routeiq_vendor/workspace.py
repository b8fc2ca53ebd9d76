"""Where the locks, the pool and the build folders are, and the settings that the environment gives.

The only reader of the environment in this package.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from routeiq_vendor.pool import Pool

__all__ = ["TORCH_INDEX", "Workspace"]

# PyTorch's own index of CPU builds: the general index has only builds that bring several GB of CUDA.
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


@dataclass(frozen=True)
class Workspace:
    """One checkout. `deb_archive` is a base URL that keeps old .debs; `apt_sources` replaces the host's."""

    root: Path
    pool: Pool
    torch_index: str = TORCH_INDEX
    deb_archive: str | None = None
    apt_sources: Path | None = None

    @classmethod
    def find(cls, environ: Mapping[str, str], root: Path | None = None) -> "Workspace":
        """Read `ROUTEIQ_POOL`, `ROUTEIQ_TORCH_INDEX`, `ROUTEIQ_DEB_ARCHIVE` and `ROUTEIQ_APT_SOURCES`."""
        root = root or Path(__file__).resolve().parents[2]
        sources = environ.get("ROUTEIQ_APT_SOURCES")
        return cls(
            root=root,
            pool=Pool(Path(environ.get("ROUTEIQ_POOL") or root / "build" / "pool").absolute()),
            torch_index=environ.get("ROUTEIQ_TORCH_INDEX") or TORCH_INDEX,
            deb_archive=environ.get("ROUTEIQ_DEB_ARCHIVE") or None,
            apt_sources=Path(sources).absolute() if sources else None,
        )

    @property
    def locks(self) -> Path:
        """The committed locks."""
        return self.root / "vendor" / "locks"

    @property
    def ui(self) -> Path:
        """The sources of the console."""
        return self.root / "ui"

    @property
    def build(self) -> Path:
        """Everything that may be deleted, the pool included."""
        return self.root / "build"

    @property
    def bootstrap(self) -> Path:
        """The wheels that pip downloaded to make `.venv`, before there was a pool (Makefile)."""
        return self.build / "cache" / "wheels"
