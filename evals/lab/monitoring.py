"""Monitoring: the real Prometheus and Alertmanager over the shop, and what they know."""

import shutil
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx
import yaml

from evals.lab import rules
from evals.lab.processes import end, spawn

_READY_S = 30.0
_INSTALL = "apt-get install prometheus prometheus-alertmanager (Debian), or put them on the PATH"
_NAMES = {
    "prometheus": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
}


class NotInstalledError(Exception):
    """A server the lab needs is not on this machine."""


class NotReadyError(Exception):
    """A server of the lab did not come up."""


def missing() -> str:
    """What is not installed, and how to get it; empty where all is there."""
    absent = [name for name, binaries in _NAMES.items() if not any(map(shutil.which, binaries))]
    return f"the lab needs {' and '.join(absent)}: {_INSTALL}" if absent else ""


def binary(name: str) -> str:
    """Where a server of the lab is installed; raises NotInstalledError where it is not."""
    found = next((path for one in _NAMES[name] if (path := shutil.which(one))), "")
    if not found:
        raise NotInstalledError(f"{name} is not installed: {_INSTALL}")
    return found


def held(prometheus: str) -> list[dict[str, Any]]:
    """The alerts a Prometheus holds pending or firing."""
    found: list[dict[str, Any]] = _get(f"{prometheus}/api/v1/alerts")["data"]["alerts"]
    return found


def free_port() -> int:
    """A port of the loopback that nobody listens at just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Monitoring:
    """Both servers in one folder; `copilot` is told of alerts directly and by webhook."""

    root: Path
    targets: Path
    copilot: str = ""  # host:port
    retention: str = "6h"
    prometheus_port: int = field(default_factory=free_port)
    alertmanager_port: int = field(default_factory=free_port)
    _running: dict[str, Popen[bytes]] = field(default_factory=dict)

    @property
    def prometheus(self) -> str:
        """Where Prometheus answers."""
        return f"http://127.0.0.1:{self.prometheus_port}"

    @property
    def alertmanager(self) -> str:
        """Where Alertmanager answers."""
        return f"http://127.0.0.1:{self.alertmanager_port}"

    def up(self) -> None:
        """Start both and wait until they are ready."""
        problem = missing()
        if problem:
            raise NotInstalledError(problem)
        self.root.mkdir(parents=True, exist_ok=True)
        self._write()
        self._start("prometheus")
        self._start("alertmanager")

    def down(self) -> None:
        """Stop both."""
        for process in self._running.values():
            end(process)
        self._running.clear()

    def _start(self, name: str) -> None:
        first = name == "prometheus"
        flags = self._prometheus_flags() if first else self._alertmanager_flags()
        log, address = self.root / f"{name}.log", self.prometheus if first else self.alertmanager
        self._running[name] = spawn([binary(name), *flags], output=log)
        _wait(name, f"{address}/-/ready", self._running[name], log)

    def alerts(self) -> list[dict[str, Any]]:
        """What Prometheus holds pending or firing."""
        return held(self.prometheus)

    def notified(self) -> list[dict[str, Any]]:
        """The alerts that Alertmanager holds."""
        found: list[dict[str, Any]] = _get(f"{self.alertmanager}/api/v2/alerts")
        return found

    def restart(self) -> None:
        """Start Prometheus anew with nothing measured."""
        end(self._running.pop("prometheus"))
        shutil.rmtree(self.root / "tsdb")
        self._start("prometheus")

    def remember(self) -> None:
        """Keep what was measured so far as the normal operation to go back to."""
        address = f"{self.prometheus}/api/v1/admin/tsdb/snapshot"
        response = httpx.post(address, timeout=60.0, trust_env=False)
        response.raise_for_status()
        made = self.root / "tsdb" / "snapshots" / response.json()["data"]["name"]
        shutil.rmtree(self.root / "normal", ignore_errors=True)
        shutil.move(made, self.root / "normal")

    def rewind(self) -> None:
        """Know the normal operation again and nothing since: Prometheus starts anew on it.

        Deleting the samples of a scenario from the running server would be less work, but after a
        few deletions Prometheus 2.42 no longer showed most of its old series.
        """
        end(self._running.pop("prometheus"))
        shutil.rmtree(self.root / "tsdb")
        shutil.copytree(self.root / "normal", self.root / "tsdb")
        self._start("prometheus")
        self._until_scraped()

    def _until_scraped(self) -> None:
        """Ready is said before any target is known; what asks then takes the server for empty."""
        until = time.monotonic() + _READY_S
        while time.monotonic() < until:
            active = _get(f"{self.prometheus}/api/v1/targets")["data"]["activeTargets"]
            if active and all(one["health"] == "up" for one in active):
                return
            time.sleep(0.5)
        raise NotReadyError(f"Prometheus did not scrape the shop within {_READY_S:.0f} s")

    def post(self, alerts: Sequence[dict[str, Any]]) -> None:
        """Alerts of somebody else's, to Alertmanager."""
        address = f"{self.alertmanager}/api/v2/alerts"
        httpx.post(address, json=list(alerts), timeout=10.0, trust_env=False).raise_for_status()

    def silence(self, matchers: dict[str, str], seconds: float, comment: str) -> None:
        """Announce to Alertmanager that alerts are expected."""
        now = time.time()
        content = {
            "matchers": [
                {"name": name, "value": value, "isRegex": False, "isEqual": True}
                for name, value in matchers.items()
            ],
            "startsAt": datetime.fromtimestamp(now, UTC).isoformat(),
            "endsAt": datetime.fromtimestamp(now + seconds, UTC).isoformat(),
            "createdBy": "lab",
            "comment": comment,
        }
        address = f"{self.alertmanager}/api/v2/silences"
        httpx.post(address, json=content, timeout=10.0, trust_env=False).raise_for_status()

    def unsilence(self) -> None:
        """End every silence."""
        for one in _get(f"{self.alertmanager}/api/v2/silences"):
            if one["status"]["state"] != "expired":
                address = f"{self.alertmanager}/api/v2/silence/{one['id']}"
                httpx.delete(address, timeout=10.0, trust_env=False).raise_for_status()

    def _write(self) -> None:
        managers = [{"static_configs": [{"targets": [f"127.0.0.1:{self.alertmanager_port}"]}]}]
        receiver: dict[str, Any] = {"name": "copilot"}
        if self.copilot:
            managers.append({"static_configs": [{"targets": [self.copilot]}]})
            url = f"http://{self.copilot}/webhooks/alertmanager"
            receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
        scrape = {
            "job_name": "shop",
            "file_sd_configs": [{"files": [str(self.targets)]}],
            "tls_config": {"insecure_skip_verify": True},  # an expired one must not blind us
        }
        _yaml(
            self.root / "prometheus.yml",
            {
                "global": {"scrape_interval": rules.EVERY, "evaluation_interval": rules.EVERY},
                "rule_files": [str(self.root / "rules.yml")],
                "alerting": {"alertmanagers": managers},
                "scrape_configs": [scrape],
            },
        )
        _yaml(self.root / "rules.yml", rules.document())
        route = {
            "receiver": "copilot",
            "group_by": ["alertname"],
            "group_wait": "1s",
            "group_interval": "5s",
            "repeat_interval": "1h",
        }
        _yaml(self.root / "alertmanager.yml", {"route": route, "receivers": [receiver]})

    def _prometheus_flags(self) -> list[str]:
        return [
            f"--config.file={self.root / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.root / 'tsdb'}",
            f"--storage.tsdb.retention.time={self.retention}",
            f"--web.listen-address=127.0.0.1:{self.prometheus_port}",
            "--web.enable-admin-api",
            "--log.level=warn",
        ]

    def _alertmanager_flags(self) -> list[str]:
        return [
            f"--config.file={self.root / 'alertmanager.yml'}",
            f"--storage.path={self.root / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{self.alertmanager_port}",
            "--cluster.listen-address=",
            "--log.level=warn",
        ]


def _yaml(path: Path, content: object) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _get(address: str) -> Any:
    response = httpx.get(address, timeout=10.0, trust_env=False)
    response.raise_for_status()
    return response.json()


def _wait(name: str, address: str, process: Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _READY_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            if httpx.get(address, timeout=2.0, trust_env=False).is_success:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    said = log.read_text(encoding="utf-8", errors="replace")[-400:] if log.exists() else ""
    raise NotReadyError(f"{name} was not ready within {_READY_S:.0f} s: {said}")
