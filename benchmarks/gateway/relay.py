"""The bare relay that the gateway is compared with: aiohttp server and client, bytes in, bytes out, nothing else.

    python relay.py PORT UPSTREAM_PORT

No keys, no limits, no ledger, no parsing: what any gateway in Python on these libraries costs at least.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

import aiohttp
import uvloop
from aiohttp import web


def handler_of(
    session: aiohttp.ClientSession, url: str
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def relay(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {"content-type": "application/json"}
        async with session.post(url + request.path, data=body, headers=headers) as answer:
            kind = answer.headers["content-type"]
            if not kind.startswith("text/event-stream"):
                return web.Response(
                    status=answer.status, body=await answer.read(), headers={"content-type": kind}
                )
            stream = web.StreamResponse(status=answer.status, headers={"content-type": kind})
            await stream.prepare(request)
            async for part in answer.content.iter_any():
                await stream.write(part)
            await stream.write_eof()
            return stream

    return relay


async def main(port: int, upstream: int) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", handler_of(session, f"http://127.0.0.1:{upstream}"))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=2048).start()
        print(f"listening on {port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
