"""Debian's Chromium, driven over its own protocol: what a page asked for, said and looks like."""

import json
import shutil
import subprocess
import time
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import websocket

BINARY = shutil.which("chromium")
PATIENCE_S = 60.0
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "about:blank"),
)


class Tab:
    """One open page; what its protocol reports is kept."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket
        self._number = 0
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, **given: object) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": given}))
        while True:
            message: dict[str, Any] = json.loads(self._socket.recv())
            if message.get("id") == self._number:
                assert "error" not in message, message
                found: dict[str, Any] = message["result"]
                return found
            self.events.append(message)

    def open(
        self, page: Path | str, width: int, scheme: Literal["light", "dark"] = "light"
    ) -> None:
        """Load a file or an address at a width and wait until it is there."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self.scheme(scheme)
        self.events.clear()
        self.ask("Page.navigate", url=page.as_uri() if isinstance(page, Path) else page)
        while not any(one.get("method") == "Page.loadEventFired" for one in self.events):
            self.events.append(json.loads(self._socket.recv()))

    def scheme(self, scheme: Literal["light", "dark"]) -> None:
        """What the reader prefers."""
        wanted = {"name": "prefers-color-scheme", "value": scheme}
        self.ask("Emulation.setEmulatedMedia", features=[wanted])

    def value(self, expression: str) -> Any:
        """What an expression is worth in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    @property
    def requests(self) -> list[str]:
        """Every address the page asked for."""
        return [
            one["params"]["request"]["url"]
            for one in self.events
            if one.get("method") == "Network.requestWillBeSent"
        ]

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """Errors and warnings of the console, and uncaught exceptions."""
        said = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [one for one in self.events if one.get("method") in said]

    def screenshot(self, target: Path) -> None:
        """The whole page as PNG."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        drawn = self.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        target.write_bytes(b64decode(drawn["data"]))


@contextmanager
def opened(profile: Path) -> Iterator[Tab]:
    """A browser with one empty tab; it ends with the block."""
    assert BINARY is not None
    process = subprocess.Popen(
        [BINARY, *_FLAGS, f"--user-data-dir={profile}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = _port(profile, process)
        address = f"ws://127.0.0.1:{port}"
        with closing(websocket.create_connection(_tab(address), timeout=PATIENCE_S)) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


def _port(profile: Path, process: subprocess.Popen[bytes]) -> str:
    written = profile / "DevToolsActivePort"
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        if written.exists() and (lines := written.read_text().splitlines()):
            return lines[0]
        time.sleep(0.05)
    raise AssertionError(f"Chromium did not start: exit code {process.poll()}")


def _tab(address: str) -> str:
    """The first page's own socket, from the browser's list."""
    with urllib.request.urlopen(f"{address.replace('ws', 'http', 1)}/json/list") as answer:
        pages = json.loads(answer.read())
    found: str = next(one["webSocketDebuggerUrl"] for one in pages if one["type"] == "page")
    return found
