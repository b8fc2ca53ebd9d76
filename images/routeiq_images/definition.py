"""An image's definition: what `definitions/<image>.toml` may say."""

import re
from pathlib import Path

from pydantic import Field, field_validator

from routeiq_images.errors import ImagesError
from routeiq_vendor.documents import Document, read_document
from routeiq_vendor.errors import LockError

__all__ = ["Application", "Definition", "Health", "load_definitions"]


class Health(Document):
    """Docker's HEALTHCHECK; times are seconds."""

    test: list[str]
    interval: int
    timeout: int
    start_period: int
    retries: int


class Place(Document):
    """A file (`source`, beside the definitions), a link (`target`) or a directory (neither) of ours."""

    path: str
    source: str | None = None
    target: str | None = None
    mode: str = "0755"
    uid: int = 0

    @field_validator("mode")
    @classmethod
    def _octal(cls, mode: str) -> str:
        if not re.fullmatch(r"[01]?[0-7]{3}", mode):
            raise ValueError("an octal mode without set-user-ID bits")
        return mode


class Application(Document):
    """The Python part: wheels of a lock, then what is ours."""

    lock: str
    packages: list[str]
    command: str
    entry: str
    static: str
    models: str
    leave_out: list[str] = Field(
        default_factory=list, description="distributions of the lock that the image has not"
    )
    drop: list[str] = Field(default_factory=list, description="globs of installed files to leave out")
    keep: list[str] = Field(default_factory=list, description="globs that stay although `drop` has them")


class Definition(Document):
    """One image."""

    name: str
    debs: str
    title: str
    description: str
    user: str
    workdir: str
    entrypoint: list[str]
    cmd: list[str] = Field(default_factory=list)
    ports: list[str] = Field(default_factory=list)
    volumes: list[str] = Field(default_factory=list)
    stop_signal: str = "SIGTERM"
    accounts: dict[str, int]
    env: dict[str, str]
    health: Health
    base_packages: list[str] = Field(description="packages of the first layer, which the images share")
    drop: list[str] = Field(default_factory=list, description="globs of files of packages to leave out")
    places: list[Place] = Field(default_factory=list)
    application: Application | None = None


def load_definitions(folder: Path) -> list[Definition]:
    """Read every definition in `folder`, by name; raises `ImagesError` naming the file and the field."""
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        raise ImagesError(f"{folder}: no definitions of images", subject=str(folder))
    try:
        return [read_document(path, Definition) for path in paths]
    except LockError as error:
        raise ImagesError(str(error), subject=error.subject) from error
