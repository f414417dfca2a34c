"""Real monitoring servers on the loopback for a while, where their programs are installed.

Debian's `prometheus` and `prometheus-alertmanager`, and the copilot's own service. Each lives in a
folder of its own, listens on a free port, and ends with the block that started it.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
ETCD = shutil.which("etcd")
NAMED = shutil.which("named") or shutil.which("named", path="/usr/sbin")
AMTOOL = shutil.which("amtool")

READY_S = 60.0


class ServerError(Exception):
    """A server did not start; its last words are in the message."""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def prometheus(
    folder: Path,
    scraped: Mapping[str, Mapping[str, str]] | None = None,
    *,
    every_s: float = 1.0,
    past: str = "",
    flags: Sequence[str] = (),
    extra: Mapping[str, object] | None = None,
) -> Iterator[str]:
    """A Prometheus that scrapes `host:port` targets with their labels; yields its address.

    `past` is text in the OpenMetrics format, with times, that it has recorded before it starts.
    """
    if PROMETHEUS is None:
        raise ServerError("prometheus is not installed")
    data, config = folder / "data", folder / "prometheus.yml"
    data.mkdir(parents=True)
    if past:
        _backfill(folder, data, past)
    config.write_text(yaml.safe_dump(_scraping(scraped or {}, every_s) | dict(extra or {})))
    port = free_port()
    command = [
        PROMETHEUS,
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=30y",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        *flags,
    ]
    with server_running(command, folder / "prometheus.log", f"http://127.0.0.1:{port}") as url:
        yield url


@contextmanager
def alertmanager(folder: Path, extra: Mapping[str, object] | None = None) -> Iterator[str]:
    """An Alertmanager that notifies nobody; yields its address."""
    if ALERTMANAGER is None:
        raise ServerError("prometheus-alertmanager is not installed")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "alertmanager.yml"
    declared = {"route": {"receiver": "no"}, "receivers": [{"name": "no"}]} | dict(extra or {})
    config.write_text(yaml.safe_dump(declared))
    port = free_port()
    command = [
        ALERTMANAGER,
        f"--config.file={config}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    with server_running(command, folder / "alertmanager.log", f"http://127.0.0.1:{port}") as url:
        yield url


@contextmanager
def named(folder: Path, zone: str, records: str, secret: str) -> Iterator[int]:
    """BIND as the primary of a zone; the key `copilot` may change A, AAAA, CNAME and SRV in it.

    The key `reader` has the same secret and no right. Yields the port on 127.0.0.1.
    """
    if NAMED is None:
        raise ServerError("named is not installed")
    port, config = free_port(), folder / "named.conf"
    (folder / "zone.db").write_text(
        f"$TTL 60\n@ IN SOA ns.{zone}. root.{zone}. 1 60 60 600 60\n@ IN NS ns\n"
        f"ns IN A 127.0.0.1\n{records}\n"
    )
    keys = "".join(
        f'key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};\n'
        for name in ("copilot", "reader")
    )
    config.write_text(f"""{keys}controls {{}};
options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; pid-file none; session-keyfile none; dnssec-validation no; notify no; }};
zone "{zone}" {{ type primary; file "zone.db"; update-policy {{
  grant copilot zonesub A AAAA CNAME SRV; }}; }};
""")
    command = [NAMED, "-f", "-n", "1", "-c", str(config)]
    with server_running(command, folder / "named.log", f"127.0.0.1:{port}", ready=""):
        yield port


@contextmanager
def etcd(folder: Path) -> Iterator[str]:
    """One member without passwords; yields the address of its JSON gateway."""
    if ETCD is None:
        raise ServerError("etcd is not installed")
    url, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = [ETCD, "--name", "one", "--data-dir", str(folder / "etcd")]
    command += ["--listen-client-urls", url, "--advertise-client-urls", url]
    command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
    command += ["--initial-cluster", f"one={peers}", "--unsafe-no-fsync"]
    with server_running(command, folder / "etcd.log", url, ready="/health") as ready:
        yield ready


@contextmanager
def copilot(folder: Path, alerting: str = "") -> Iterator[str]:
    """`copilot serve` over a data folder, without a model; yields its address."""
    folder.mkdir(parents=True, exist_ok=True)
    declared = folder / "alerting.toml"
    declared.write_text(alerting, encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "copilot", "--data-dir", str(folder / "data"), "serve"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    plain = {"COPILOT_MODEL_USE": "off", "COPILOT_EMBEDDER": "none"}
    env = {**os.environ, **plain, "COPILOT_ALERTING_FILE": str(declared)}
    with server_running(command, folder / "copilot.log", f"http://127.0.0.1:{port}", env) as url:
        yield url


def _scraping(scraped: Mapping[str, Mapping[str, str]], every_s: float) -> dict[str, object]:
    every = f"{int(every_s * 1000)}ms"
    jobs = [
        {
            "job_name": "services",
            "static_configs": [
                {"targets": [target], "labels": dict(labels)} for target, labels in scraped.items()
            ],
        }
    ]
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "scrape_configs": jobs if scraped else [],
    }


def _backfill(folder: Path, data: Path, past: str) -> None:
    if PROMTOOL is None:
        raise ServerError("promtool is not installed")
    text = folder / "past.txt"
    text.write_text(past, encoding="utf-8")
    done = subprocess.run(
        [PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerError(f"promtool refused: {done.stderr or done.stdout}")


@contextmanager
def server_running(
    command: Sequence[str],
    log: Path,
    url: str,
    env: Mapping[str, str] | None = None,
    ready: str = "/-/ready",
) -> Iterator[str]:
    """The process, from when its `url` answers at `ready` (or takes a connection) to the end."""
    with (
        log.open("wb") as words,
        subprocess.Popen(command, stdout=words, stderr=words, env=env) as process,
    ):
        try:
            _await(process, log, url, ready)
            yield url
        finally:
            process.kill()
            process.wait(10)


def _ready(url: str, ready: str) -> bool:
    """Whether it answers there; without a page, whether it takes a connection."""
    if ready:
        return httpx.get(f"{url}{ready}", timeout=1, trust_env=False).is_success
    host, _, port = url.rpartition(":")
    socket.create_connection((host, int(port)), 1).close()
    return True


def _await(process: subprocess.Popen[bytes], log: Path, url: str, ready: str) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if _ready(url, ready):
                return
        except (httpx.HTTPError, OSError):
            pass
        time.sleep(0.05)
    said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise ServerError(f"{url} did not become ready: {said}")
