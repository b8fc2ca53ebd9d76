"""Reed-Solomon over blocks, by liberasurecode and ISA-L (PyECLib); nothing of the arithmetic is ours.

The library frames every fragment with a header that depends on the position and the length alone; parts hold no
headers, so those of an encoding of zeros are put back before it is asked to restore. What it restores is not believed:
who calls compares digests.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from routeiq_images.carry.split import PARITY_ALIGNMENT, PARITY_CODE
from routeiq_images.errors import ImagesError

__all__ = ["BLOCK", "Code"]

BLOCK = 256 << 10  # bytes of a part that are coded at once: 8 MB in memory for 32 parts


class Code:
    """`data` blocks, `parity` more of the same length; any `data` of them all restore the others."""

    def __init__(self, data: int, parity: int) -> None:
        try:
            from pyeclib.ec_iface import ECDriver, ECDriverError  # noqa: PLC0415  only parity needs it
        except ImportError as error:
            raise ImagesError(
                "parity needs PyECLib, which is not installed here",
                hint="the inputs tar holds its wheel; or copy the bad parts again",
            ) from error
        self.data, self.parity = data, parity
        self._error: type[Exception] = ECDriverError
        self._driver: Any = ECDriver(k=data, m=parity, ec_type=PARITY_CODE)
        self._headers: dict[int, list[bytes]] = {}

    def encode(self, blocks: Sequence[bytes]) -> list[bytes]:
        """Return the parity blocks of `blocks`, which all have one length, a multiple of 64."""
        return self._fragments(blocks)[self.data :]

    def restore(self, blocks: Mapping[int, bytes], lost: Sequence[int]) -> list[bytes]:
        """Return the blocks at the positions `lost` (data from 0, then parity) out of `blocks` (position → block)."""
        length = len(next(iter(blocks.values())))
        headers = self._header(length)
        fragments = [headers[position] + block for position, block in sorted(blocks.items())]
        try:
            found = self._driver.reconstruct(fragments, list(lost))
        except self._error as error:
            raise ImagesError(f"parity: cannot restore: {error}") from error
        return [bytes(fragment[len(headers[0]) :]) for fragment in found]

    def _fragments(self, blocks: Sequence[bytes]) -> list[bytes]:
        length = len(blocks[0])
        size = len(self._header(length)[0])
        return [bytes(fragment[size:]) for fragment in self._driver.encode(b"".join(blocks))]

    def _header(self, length: int) -> list[bytes]:
        if length % PARITY_ALIGNMENT or not length:
            raise AssertionError("blocks are padded by the caller")
        if length not in self._headers:
            fragments = self._driver.encode(bytes(length * self.data))
            self._headers[length] = [bytes(fragment[: len(fragment) - length]) for fragment in fragments]
        return self._headers[length]
