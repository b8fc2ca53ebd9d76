"""Lets the host in, and nothing out: a listener of the host's loopback, served by a process that lives inside.

A socket belongs to the namespace it was made in. The listener is made on the host and handed to this process, which
can accept on it, and dial, from where it is, only what is inside.
"""

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from routeiq_appliance.cli.sealed.errors import SealError
from routeiq_appliance.cli.sealed.network import Namespace
from routeiq_appliance.cli.sealed.process import Service

__all__ = ["forward_inwards", "main"]

_CHUNK = 1 << 16


@contextmanager
def forward_inwards(sealed: Namespace, *, port: int, inner_port: int, log: Path) -> Iterator[int]:
    """Serve `127.0.0.1:port` of the host from `127.0.0.1:inner_port` inside; yields the port (0: any free one)."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise SealError(
                f"127.0.0.1:{port}: {error.strerror}", hint="choose another with --port"
            ) from None
        listener.listen(128)
        number: int = listener.getsockname()[1]
        command = [sys.executable, "-m", __name__, "--fd", str(listener.fileno()), "--port", str(inner_port)]
        with Service("forwarder", sealed.confine(command), log=log, pass_fds=(listener.fileno(),)):
            yield number


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # A peer that resets has left: what was under way for it is of no use to anyone.
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _serve(listener: socket.socket, port: int) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            for end in (writer, inner_writer):
                end.close()

    server = await asyncio.start_server(relay, sock=listener)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        await stop.wait()


def main(arguments: list[str] | None = None) -> None:
    """Run inside a sealed namespace until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="listening socket, made outside")
    parser.add_argument("--port", type=int, required=True, help="port of 127.0.0.1 inside")
    options = parser.parse_args(arguments)
    with socket.socket(fileno=options.fd) as listener:
        asyncio.run(_serve(listener, options.port))


if __name__ == "__main__":
    main()
