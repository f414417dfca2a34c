"""The real Alertmanager as a peer: a stream sent to it time-compressed, its webhooks collected.

It listens on 127.0.0.1 only, lives in a temporary folder and is ended with the run.
"""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from evals.alerts.feed import MethodOutcome, deliveries
from evals.alerts.streams import AlertStream
from tools.types import Alert, Timestamp

BINARIES = ("prometheus-alertmanager", "alertmanager")
COMPRESSION = 2000.0
"""A week in five minutes; the timers of 30 s and 300 s become 15 ms and 150 ms.

Empty groups are deleted by a tick of 30 s that cannot be configured, so at this speed
groups live on and new alerts wait for `group_interval`: the real one shows fewer groups and longer
delays than at its own pace, where the emulation is the better guide.
"""

_CONFIG = """\
route:
  receiver: collector
  group_by: [{group_by}]
  group_wait: {wait}ms
  group_interval: {interval}ms
  repeat_interval: {repeat}ms
receivers:
  - name: collector
    webhook_configs:
      - url: http://127.0.0.1:{port}/
        send_resolved: true
"""


@dataclass
class WebhookLog:
    """Webhooks in the order they came: (real time, payload)."""

    payloads: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class AlertmanagerError(Exception):
    """The installed Alertmanager did not come up or refused an alert."""


def installed() -> str | None:
    """Path of the binary, None if there is none."""
    return next((path for name in BINARIES if (path := shutil.which(name))), None)


def version(binary: str) -> str:
    """What the binary calls itself."""
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).split("(")[0].strip()


def run(
    stream: AlertStream,
    binary: str,
    group_by: tuple[str, ...],
    advance: Callable[[], None],
    compression: float = COMPRESSION,
) -> MethodOutcome:
    """Send the stream at `compression` times its speed and read off what was notified."""
    with (
        tempfile.TemporaryDirectory(prefix="alertmanager-") as folder,
        _collector() as (collected, webhook_port),
        _server(binary, Path(folder), group_by, webhook_port, compression) as port,
    ):
        started = time.time() + 0.5
        _send(stream, port, started, compression, advance)
        time.sleep(1.0)
    return _outcome(stream, collected, started, compression)


@contextlib.contextmanager
def _collector() -> Iterator[tuple[WebhookLog, int]]:
    collected = WebhookLog()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with collected.lock:
                collected.payloads.append((time.time(), json.loads(body)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing on the terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield collected, server.server_address[1]
        server.shutdown()


@contextlib.contextmanager
def _server(
    binary: str, folder: Path, group_by: tuple[str, ...], webhook_port: int, compression: float
) -> Iterator[int]:
    config = folder / "alertmanager.yml"
    config.write_text(
        _CONFIG.format(
            group_by=", ".join(group_by),
            wait=max(1, round(30_000 / compression)),
            interval=max(1, round(300_000 / compression)),
            repeat=max(1, round(4 * 3_600_000 / compression)),
            port=webhook_port,
        ),
        encoding="utf-8",
    )
    port = _free_port()
    command = [
        binary,
        f"--config.file={config}",
        f"--storage.path={folder / 'storage'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=error",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        if process.poll() is not None:
            raise AlertmanagerError(f"Alertmanager ended at once with code {process.returncode}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.2)
        finally:
            connection.close()
    raise AlertmanagerError(f"Alertmanager on port {port} was not ready within 20 s")


def _send(
    stream: AlertStream, port: int, started: float, compression: float, advance: Callable[[], None]
) -> None:
    origin = stream.alerts[0].starts_at
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for now, positions, resolved in deliveries(stream, tick=1.0):
        due = started + (now - origin) / compression
        time.sleep(max(0.0, due - time.time()))
        real = [*(stream.alerts[index] for index in positions), *resolved]
        body = json.dumps([_payload(alert, origin, started, compression) for alert in real])
        connection.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise AlertmanagerError(f"Alertmanager answered {response.status} to an alert")
        for _ in positions:
            advance()
    connection.close()


def _payload(
    alert: Alert, origin: Timestamp, started: float, compression: float
) -> dict[str, object]:
    start = started + (alert.starts_at - origin) / compression
    end = start + 3600.0
    if alert.status == "resolved" and alert.ends_at is not None:
        end = started + (alert.ends_at - origin) / compression
    return {"labels": alert.labels, "startsAt": _text(start), "endsAt": _text(end)}


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")


def _outcome(
    stream: AlertStream, collected: WebhookLog, started: float, compression: float
) -> MethodOutcome:
    """A cluster is a run of notifications of one group key up to one that says all is resolved."""
    outcome = MethodOutcome(clusters=[f"never-{index}" for index in range(len(stream.alerts))])
    origin = stream.alerts[0].starts_at
    ids: dict[str, list[int]] = defaultdict(list)
    for index, alert in enumerate(stream.alerts):
        ids[alert.fingerprint].append(index)
    instance: dict[str, int] = defaultdict(int)
    sent: set[int] = set()
    for at, payload in collected.payloads:
        key = str(payload["groupKey"])
        cluster = f"{key}#{instance[key]}"
        outcome.notifications += 1
        outcome.told.setdefault(cluster, origin + (at - started) * compression)
        for alert in payload["alerts"]:
            candidates = ids[alert["fingerprint"]]
            which = _which(stream, candidates, alert, origin, started, compression)
            if which is not None and which not in sent:
                sent.add(which)
                outcome.clusters[which] = cluster
        if payload["status"] == "resolved":
            instance[key] += 1
    outcome.never_sent = len(stream.alerts) - len(sent)
    for cluster in outcome.clusters:
        outcome.rank[cluster] = outcome.rank.get(cluster, 0.0) + 1.0
    return outcome


def _which(
    stream: AlertStream,
    candidates: list[int],
    alert: dict[str, Any],
    origin: Timestamp,
    started: float,
    compression: float,
) -> int | None:
    """The stream's alert that a notified one is: same labels, start within ten seconds."""
    moment = datetime.fromisoformat(alert["startsAt"]).timestamp()
    start = origin + (moment - started) * compression
    near = [i for i in candidates if abs(stream.alerts[i].starts_at - start) <= 10.0]
    return min(near, key=lambda i: abs(stream.alerts[i].starts_at - start), default=None)
