"""Writes a report to a file first and sends it from there; one at a time.

So a database connection is not held by a slow reader, what goes wrong is an error and not half an answer, and the
memory that it takes does not depend on how many rows there are.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from starlette.responses import Response, StreamingResponse

from routeiq_appliance.api.management.context import Context
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.authenticate import MASTER_KEY_ID
from routeiq_appliance.reporting.columns import ReportError
from routeiq_appliance.reporting.layouts import Layout
from routeiq_appliance.reporting.text import amount
from routeiq_appliance.reporting.write import Made, write_report
from routeiq_appliance.state.reports import Wanted

__all__ = ["ReportWriter"]

_LARGEST = 1 << 30
"""Bytes of one report: some five million rows."""
_IN_MEMORY = 1 << 20
_CHUNK = 256 << 10


class ReportWriter:
    """Writes reports to files in `folder`, and sends them; one at a time in this worker."""

    def __init__(self, context: Context, engine: sa.Engine, folder: Path) -> None:
        self._context = context
        self._engine = engine
        self._folder = folder
        self._turn = asyncio.Semaphore(1)

    async def send(self, layout: Layout, wanted: Wanted, *, kind: str, name: str | None = None) -> Response:
        """Return the report as an answer of this media type, as a file called `name` if given."""
        file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(self._folder))  # noqa: SIM115 - sent below

        def write() -> Made:
            self._context.settled()
            made = write_report(
                self._engine, layout, wanted, file.write, uncharged=MASTER_KEY_ID, largest=_LARGEST
            )
            file.seek(0)
            return made

        try:
            async with self._turn:
                made = await self._context.run(write)
        except ReportError as error:
            file.close()
            raise CallError(400, str(error), code="report_too_large") from None
        except BaseException:
            file.close()
            raise
        headers = {
            "cache-control": "no-store",
            "content-length": str(made.size),
            "x-routeiq-reconciled": "true" if made.reconciled else "false",
            "x-routeiq-ledger": amount(made.account.ledger),
            "x-routeiq-spend-table": amount(made.account.spend),
            "x-routeiq-difference": amount(made.account.difference),
        }
        if name is not None:
            headers["content-disposition"] = f'attachment; filename="{name}"'
        return StreamingResponse(self._read(file), headers=headers, media_type=kind)

    async def _read(self, file: IO[bytes]) -> AsyncIterator[bytes]:
        with file:
            while chunk := await self._context.run(lambda: file.read(_CHUNK)):
                yield chunk
