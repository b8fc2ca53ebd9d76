"""A fake OpenAI-compatible server that costs next to nothing: canned answers, picked by what the body contains.

    python upstream.py PORT

Runs in a process of its own. A chat answer is some 300 bytes with usage; a stream is 50 chunks, one write each, with
usage when `include_usage` is asked for. A model whose name holds `slow` streams a chunk every 200 ms.
"""

import asyncio
import json
import sys
from typing import Any

import uvloop

CHUNKS = 50
SLOW_SECONDS = 0.2
PROMPT_TOKENS, ANSWER_TOKENS, STREAM_TOKENS = 20, 12, CHUNKS
TEXT = "The capital of France is Paris, a city on the Seine."


def encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def usage(tokens: int) -> dict[str, int]:
    total = PROMPT_TOKENS + tokens
    return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens, "total_tokens": total}


def answer() -> bytes:
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "fake"}
    body = encoded({**head, "choices": [choice], "usage": usage(ANSWER_TOKENS)})
    lines = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return lines.encode() + body


def event(**fields: Any) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "fake"}
    return framed(b"data: " + encoded({**head, **fields}) + b"\n\n")


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


ANSWER = answer()
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = event(choices=[{"index": 0, "delta": {"content": "word "}, "finish_reason": None}])
LAST = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
USAGE = event(choices=[], usage=usage(STREAM_TOKENS))
DONE = framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Server(asyncio.Protocol):
    """One connection, kept alive; a request is answered when its body is whole."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.buffer = b""
        self.transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data if self.buffer else data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = data[:end].lower()
            at = head.find(b"content-length:")
            size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(data) < end + 4 + size:
                break
            self.respond(data[end + 4 : end + 4 + size])
            data = data[end + 4 + size :]
        self.buffer = data

    def respond(self, body: bytes) -> None:
        if b'"stream":true' not in body and b'"stream": true' not in body:
            self.transport.write(ANSWER)
            return
        self.transport.write(STREAM_HEAD)
        tail = LAST + (USAGE if b"include_usage" in body else b"") + DONE
        self.send(CHUNKS, SLOW_SECONDS if b"slow" in body else 0.0, tail)

    def send(self, left: int, pause: float, tail: bytes) -> None:
        if self.transport.is_closing():
            return
        if not left:
            self.transport.write(tail)
            return
        self.transport.write(CHUNK)
        if pause:
            self.loop.call_later(pause, self.send, left - 1, pause, tail)
        else:
            self.loop.call_soon(self.send, left - 1, pause, tail)


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", port, backlog=2048)
    print(f"listening on {port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
