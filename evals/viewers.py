"""Viewers: the first page at 1,000 incidents, and 200 people whose pages are live.

A `copilot serve` of its own process gets 1,000 incidents, copies of a shipped one that was worked
on, 20 of them open. First the page alone: bytes on the wire with its style and script, and the time
of an answer. Then viewers follow `GET /events` as `console.js` does and fetch the page anew when
something happens; some of them take nothing of what they are sent. The time that counts is that of
a probe beside them. At last more is written than connections hold, until whoever takes nothing is
dropped; nobody else may miss a row.
"""

import asyncio
import contextlib
import gzip
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from rich.progress import Progress

from copilot import __version__
from copilot.settings import load
from copilot.store import Store
from evals.alerts.ingest import _free_port as free_port
from evals.alerts.ingest import cpu_seconds, serving
from evals.localization.cases import RECORDINGS
from evals.report import Options, Result, Table
from evals.worked_incident import work_on

INCIDENTS, OPEN = 1_000, 20
VIEWERS, STALLED = 200, 20
ASKED = 100
"""Requests of the page alone."""

EVERY_S, LIVE_S = 0.5, 20.0
"""Between two rows of the journal, of an incident at work; and for how long."""

SETTLE_S = (0.25, 1.5)
"""What a page waits before it fetches itself anew (`console.js`)."""

ROWS, ROW_BYTES = 200, 2_000
"""Rows a second, and bytes of each, that no connection holds for long."""

DROPPED_WITHIN_S = 120.0


@dataclass
class Viewers:
    """People with a live page: what they were told, and how long their pages took."""

    port: int
    after: int
    seen: list[int] = field(default_factory=list)
    rows: int = 0
    pages_ms: list[float] = field(default_factory=list)
    ended: int = 0
    fetching: bool = True

    async def follow(self, number: int, *, fetch: bool) -> None:
        """Read the feed; with `fetch`, renew the page after a row, not more than one at a time."""
        self.seen.append(0)
        renewing: asyncio.Task[None] | None = None
        reader, writer = await self._opened(f"/events?after={self.after}")
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                if line.startswith(b"id:"):
                    self.seen[number] = int(line[3:])
                    self.rows += 1
                    if fetch and self.fetching and (renewing is None or renewing.done()):
                        renewing = asyncio.create_task(self.renewed())
        writer.close()

    async def stalled(self) -> None:
        """Ask for the feed and take nothing; done when the service has ended the connection."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        sock.send(f"GET /events?after={self.after} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        mine = sock.getsockname()[1]
        while await asyncio.to_thread(_held, self.port, mine):
            await asyncio.sleep(3.0)
        sock.close()
        self.ended += 1

    async def renewed(self) -> None:
        """Fetch the page as its script does."""
        await asyncio.sleep(random.uniform(*SETTLE_S))
        self.pages_ms.append(await self.page_ms())

    async def page_ms(self) -> float:
        """How long the page takes, in milliseconds, from asking to its last byte."""
        begun = time.perf_counter()
        reader, writer = await self._opened("/", "Connection: close\r\n")
        await reader.read()
        writer.close()
        return (time.perf_counter() - begun) * 1000

    async def _opened(
        self, path: str, more: str = ""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Encoding: gzip\r\n{more}\r\n"
        writer.write(head.encode())
        return reader, writer


def _held(port: int, mine: int) -> bool:
    """Whether the service still holds the connection: what it has closed waits to be taken."""
    wanted = f":{port:04X}", f":{mine:04X}"
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        here, there, state = row.split()[1:4]
        if (here[-5:], there[-5:]) == wanted:
            return state == "01"
    return False


def run(options: Options, progress: Progress) -> Result:
    """Measure; the summary has what the console promises, and what it costs."""
    started, count = time.perf_counter(), options.limit or INCIDENTS
    task = progress.add_task("viewers", total=4)
    with tempfile.TemporaryDirectory(prefix="viewers") as folder:
        _filled(Path(folder), count)
        progress.advance(task)
        port = free_port()
        command = [sys.executable, "-m", "copilot", "--data-dir", folder, "serve"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        url = f"sqlite:///{folder}/copilot.sqlite"
        off = {"COPILOT_MODEL_USE": "off", "COPILOT_DATABASE_URL": url}
        with serving(command, port, "/readyz", **off) as process:
            store = Store(url)
            summary = _page_alone(port, process.pid) | {"incidents": float(count)}
            progress.advance(task)
            before, used = _rss(process.pid), cpu_seconds(process.pid)
            begun = time.perf_counter()
            viewers = Viewers(port, store.journal.last())
            summary |= asyncio.run(_watched(viewers, store, progress, task))
            lasted = time.perf_counter() - begun
            summary |= {
                "memory_mb.before": before,
                "memory_mb.with_viewers": summary.pop("rss_mb", 0.0) or _rss(process.pid),
                "cpu_share": (cpu_seconds(process.pid) - used) / lasted,
            }
            store.close()
    return Result(
        suite="viewers",
        version=__version__,
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(_table(summary),),
    )


def _filled(folder: Path, count: int) -> None:
    """A data folder with `count` incidents, 20 of them open."""
    url = f"sqlite:///{folder}/copilot.sqlite"
    settings = load(data_dir=folder, database_url=url, model_use="off", embedder="none")
    worked = work_on(settings, RECORDINGS / "incidents" / "lab-851d38")
    store = Store(url)
    with store.transaction():
        for number in range(count):
            status = "handed_over" if number < OPEN else "recovered"
            opened = worked.opened_at - 60.0 * number
            # A small difference in each, so that no document is read once for all.
            changed = {"id": f"inc-{number:05d}", "status": status, "opened_at": opened,
                       "title": f"{worked.title} ({number})", "plan": None}  # fmt: skip
            store.incidents.open(worked.model_copy(update=changed))
    store.close()


def _page_alone(port: int, pid: int) -> dict[str, float]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        text = client.get("/").text
        assets = [part.partition('"')[0] for part in text.split('="/console/static/')[1:]]
        sent = [len(gzip.compress(client.get(path).content, 5))
                for path in ("/", *(f"/console/static/{one}" for one in assets))]  # fmt: skip
        took, used = [], cpu_seconds(pid)
        for _ in range(ASKED):
            begun = time.perf_counter()
            client.get("/")
            took.append((time.perf_counter() - begun) * 1000)
    return {"first_page_kib": sum(sent) / 1024, "page_ms.p50": _at(took, 50),
            "page_ms.p95": _at(took, 95),
            "page_cpu_ms": (cpu_seconds(pid) - used) / ASKED * 1000}  # fmt: skip


async def _watched(
    viewers: Viewers, store: Store, progress: Progress, task: object
) -> dict[str, float]:
    live = VIEWERS - STALLED
    async with asyncio.TaskGroup() as group:
        reading = [group.create_task(viewers.follow(one, fetch=True)) for one in range(live)]
        stalled = [group.create_task(viewers.stalled()) for _ in range(STALLED)]
        await asyncio.sleep(2.0)
        probe: list[float] = []
        begun, rows = time.monotonic(), viewers.rows
        while time.monotonic() - begun < LIVE_S:
            await asyncio.to_thread(_write, store, 1, 80)
            probe.append(await viewers.page_ms())
            await asyncio.sleep(EVERY_S)
        told = (viewers.rows - rows) / (time.monotonic() - begun)
        viewers.fetching = False
        await asyncio.sleep(2.0)
        progress.advance(task)  # type: ignore[arg-type]
        flood, begun, rows = [], time.monotonic(), viewers.rows
        while viewers.ended < STALLED and time.monotonic() - begun < DROPPED_WITHIN_S:
            await asyncio.to_thread(_write, store, ROWS // 2, ROW_BYTES)
            flood.append(await viewers.page_ms())
            await asyncio.sleep(0.5)
        flooded = (viewers.rows - rows) / (time.monotonic() - begun)
        took, last = time.monotonic() - begun, store.journal.last()
        for _ in range(60):
            if all(one == last for one in viewers.seen):
                break
            await asyncio.sleep(0.5)
        for one in (*reading, *stalled):
            one.cancel()
    progress.advance(task)  # type: ignore[arg-type]
    return {
        "live_page_ms.p50": _at(viewers.pages_ms, 50),
        "live_page_ms.p95": _at(viewers.pages_ms, 95),
        "probe_page_ms.p95": _at(probe, 95),
        "rows_told_per_s": told,
        "pages_per_s": len(viewers.pages_ms) / LIVE_S,
        "flood_rows_told_per_s": flooded,
        "flood_page_ms.p95": _at(flood, 95),
        "stalled.dropped": float(viewers.ended),
        "stalled.dropped_within_s": took,
        "live.behind": float(sum(one != last for one in viewers.seen)),
    }


def _write(store: Store, rows: int, size: int) -> None:
    with store.transaction():
        for _ in range(rows):
            detail = {"reason": "x" * size}
            store.journal.append("inc-00000", "noted", "bench", {**detail}, time.time())


def _at(values: Sequence[float], percent: int) -> float:
    return float(np.percentile(values, percent)) if values else float("nan")


def _rss(pid: int) -> float:
    """Memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _table(summary: dict[str, float]) -> Table:
    rows = tuple((name, f"{value:.1f}") for name, value in summary.items())
    return Table(title="viewers", columns=("figure", "value"), rows=rows)
