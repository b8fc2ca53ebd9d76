"""An OTLP receiver that throws away what it gets: what traces cost the gateway, not what a collector costs.

    python sink.py PORT

`GET /` tells how many requests and bytes came.
"""

import asyncio
import sys

import uvloop
from aiohttp import web


async def main(port: int) -> None:
    seen = {"requests": 0, "bytes": 0}

    async def take(request: web.Request) -> web.Response:
        seen["requests"] += 1
        seen["bytes"] += len(await request.read())
        return web.Response(body=b"", content_type="application/x-protobuf")

    async def tell(_request: web.Request) -> web.Response:
        return web.json_response(seen)

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/traces", take)
    app.router.add_get("/", tell)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"listening on {port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
