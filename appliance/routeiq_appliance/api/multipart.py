"""Reads a form with files (RFC 7578) that is wholly in memory; the parser is aiohttp's."""

import asyncio

import aiohttp
from aiohttp.base_protocol import BaseProtocol
from multidict import CIMultiDict

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Upload

__all__ = ["read_form"]

_MAX_PARTS = 64


async def read_form(content_type: str, raw: bytes) -> tuple[list[tuple[str, str]], dict[str, Upload]]:
    """Return the fields in order and the files by name; raises `CallError` 400 for what is no such form."""
    if not content_type.lower().startswith("multipart/form-data"):
        raise _bad("the body must be multipart/form-data")
    loop = asyncio.get_running_loop()
    stream = aiohttp.StreamReader(BaseProtocol(loop), 2**16, loop=loop)
    stream.feed_data(raw)
    stream.feed_eof()
    fields: list[tuple[str, str]] = []
    files: dict[str, Upload] = {}
    try:
        reader = aiohttp.MultipartReader(CIMultiDict({"content-type": content_type}), stream)
        for _ in range(_MAX_PARTS + 1):
            part = await reader.next()
            if part is None:
                break
            if not isinstance(part, aiohttp.BodyPartReader) or not part.name:
                raise _bad("the form holds a part without a name")
            data = bytes(await part.read(decode=True))
            if part.filename is None:
                fields.append((part.name, data.decode()))
            else:
                kind = part.headers.get("content-type", "application/octet-stream")
                files[part.name] = Upload(_plain_name(part.filename), kind[:128], data)
        else:
            raise _bad(f"the form has more than {_MAX_PARTS} parts")
    except (
        ValueError,
        AssertionError,
        RuntimeError,
        aiohttp.ClientError,
        aiohttp.http.HttpProcessingError,
    ) as error:
        # AssertionError, RuntimeError: the parser's for boundaries and encodings that are none.
        raise _bad(f"the form cannot be read: {error}"[:200]) from None
    return fields, files


def _plain_name(name: str) -> str:
    """Return a file's name without folders: it goes out again, and servers have opened what it said."""
    return name.replace("\\", "/").rpartition("/")[2][:128] or "file"


def _bad(message: str) -> CallError:
    return CallError(400, message, code="invalid_form")
