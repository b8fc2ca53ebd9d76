"""A real Chromium, driven over its debugging pipe, in a sealed network where nothing but one gateway can be reached.

Spoken is the DevTools protocol: JSON between NUL bytes on two pipes, so no port is opened and no driver is needed.
"""

import base64
import contextlib
import ctypes
import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routeiq_appliance.cli.sealed import forward
from routeiq_appliance.cli.sealed.network import Namespace, open_sealed
from routeiq_appliance.cli.sealed.process import Service
from routeiq_appliance.cli.sealed.sensor import Sensor

__all__ = ["Browser", "Page", "SealedBrowser", "open_browser"]

_SECONDS = 30.0
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of `sched.h`."""
_OPTIONS = (
    "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-color-profile=srgb",
    "--disable-dev-shm-usage", "--lang=en-US",
)  # fmt: skip
_KEYS = {"Tab": 9, "Enter": 13, "Space": 32}


class Browser:
    """One Chromium; `call` sends a command and waits for its answer, `events` is what it told by itself."""

    def __init__(self, namespace: Namespace, profile: Path) -> None:
        program = shutil.which("chromium-headless-shell")
        assert program is not None
        inner_read, self._write = os.pipe()
        self._read, inner_write = os.pipe()
        # Chromium reads its descriptor 3 and writes its descriptor 4, whatever numbers the pipes have here.
        script = f'exec "$@" 3</proc/self/fd/{inner_read} 4>/proc/self/fd/{inner_write}'
        command = [program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            namespace.confine(["sh", "-c", script, "sh", *command]),
            env={"PATH": os.environ["PATH"], "HOME": str(profile), "TZ": "UTC"},
            pass_fds=(inner_read, inner_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(inner_read)
        os.close(inner_write)
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._number = 0
        self._sending = threading.Lock()
        self.pages: dict[str, Page] = {}
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        rest = b""
        while data := os.read(self._read, 1 << 20):
            *messages, rest = (rest + data).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._answers.put(message)
                elif page := self.pages.get(message.get("sessionId", "")):
                    page.happened(message["method"], message["params"])

    def send(self, method: str, session: str | None = None, **params: Any) -> int:
        """Send a command; returns its number."""
        with self._sending:
            self._number += 1
            message = {"id": self._number, "method": method, "params": params}
            if session is not None:
                message["sessionId"] = session
            os.write(self._write, json.dumps(message).encode() + b"\0")
            return self._number

    def call(self, method: str, session: str | None = None, **params: Any) -> Any:
        """Send a command and return its result."""
        number = self.send(method, session, **params)
        while True:
            answer = self._answers.get(timeout=_SECONDS)
            if answer["id"] == number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def open(self, *, password: str | None = None) -> "Page":
        """Open a tab with cookies and storage of its own; `password` answers the login box of HTTP Basic."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.pages[session] = page = Page(self, session, password)
        page.begin()
        return page

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(BrokenPipeError):
            self.send("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._reader.join(10)
        os.close(self._write)
        os.close(self._read)


@dataclass
class Page:
    """One tab. `requests` are (method, address) of all it asked for; `complaints` what it said on its console."""

    browser: Browser
    session: str
    password: str | None
    requests: list[tuple[str, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    loaded: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        """Have the tab tell what happens in it."""
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        if self.password is not None:
            self.call("Fetch.enable", handleAuthRequests=True)

    def happened(self, event: str, params: dict[str, Any]) -> None:
        """Take note of an event. Runs in the browser's reader: it may send, and must not wait."""
        if event == "Network.requestWillBeSent":
            self.requests.append((params["request"]["method"], params["request"]["url"]))
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(
                params["exceptionDetails"].get("exception", {}).get("description", "exception")
            )
        elif event == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])
        elif event == "Page.loadEventFired":
            self.loaded.set()
        elif event == "Fetch.requestPaused":
            self.browser.send("Fetch.continueRequest", self.session, requestId=params["requestId"])
        elif event == "Fetch.authRequired":
            answer = {"response": "ProvideCredentials", "username": "me", "password": self.password}
            self.browser.send(
                "Fetch.continueWithAuth",
                self.session,
                requestId=params["requestId"],
                authChallengeResponse=answer,
            )

    def call(self, method: str, **params: Any) -> Any:
        """Send a command to this tab."""
        return self.browser.call(method, self.session, **params)

    def visit(self, url: str) -> None:
        """Load a page whole."""
        self.loaded.clear()
        found = self.call("Page.navigate", url=url)
        assert "errorText" not in found, found
        assert self.loaded.wait(_SECONDS), f"{url} did not load"

    def run(self, expression: str) -> Any:
        """Return what a JavaScript expression gives."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str, *, seconds: float = _SECONDS) -> None:
        """Wait until a JavaScript expression is true; fails with the page's text after `seconds`."""
        deadline = time.monotonic() + seconds
        while not self.run(f"Boolean({expression})"):
            assert time.monotonic() < deadline, f"never true: {expression}\n{self.text()}\n{self.complaints}"
            threading.Event().wait(0.05)

    def shows(self, text: str) -> None:
        """Wait until the page shows this text."""
        self.until(f"document.body.innerText.includes({json.dumps(text)})")

    def text(self) -> str:
        """Return all the text that is shown."""
        return str(self.run("document.body.innerText"))

    def write(self, text: str) -> None:
        """Write into the focused field, as a keyboard would."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press one key and release it."""
        code = _KEYS[key]
        text = {"Enter": "\r", "Space": " "}.get(key, "")
        common = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Take a size in pixels, and what the operator prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def picture(self, path: Path) -> None:
        """Write a PNG of what is seen."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@dataclass(frozen=True)
class SealedBrowser:
    """`sensor` counts what would have left the network."""

    browser: Browser
    sensor: Sensor


@contextmanager
def open_browser(folder: Path, port: int) -> Iterator[SealedBrowser]:
    """Run Chromium where `127.0.0.1:port` is the gateway's and every other address is counted and dead."""
    folder.mkdir(exist_ok=True)
    with open_sealed(folder) as network:
        sensor = Sensor(network)
        with _listener_inside(network.sealed, port) as listener:
            number = str(listener.fileno())
            command = [sys.executable, "-m", forward.__name__, "--fd", number, "--port", str(port)]
            with Service("forwarder", command, log=folder / "forwarder.log", pass_fds=(listener.fileno(),)):
                browser = Browser(network.sealed, folder / "profile")
                try:
                    yield SealedBrowser(browser, sensor)
                finally:
                    browser.close()


@contextmanager
def _listener_inside(namespace: Namespace, port: int) -> Iterator[socket.socket]:
    """Make a socket that listens inside the namespace, for a process outside: a socket stays where it was made."""
    made: list[socket.socket] = []

    def make() -> None:
        # Of this thread alone, which ends.
        with namespace.path.open("rb") as file:
            assert ctypes.CDLL(None).setns(file.fileno(), _NEW_NETWORK) == 0
        listener = socket.socket()
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        made.append(listener)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    with made[0] as listener:
        yield listener
