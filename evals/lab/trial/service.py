"""Service: the real copilot as a process of its own, attached to one lab, and its HTTP door."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from copilot.types import home
from evals.lab.blueprint import topology
from evals.lab.live import Lab
from evals.lab.places import write_json
from evals.lab.processes import end, spawn

_STARTS_S = 90.0
_PLAYBOOKS = Path(__file__).parents[1] / "playbooks"
_TOKEN = "LAB_OPERATOR_TOKEN"


class CopilotServiceError(Exception):
    """The copilot did not come up, or did not answer."""


class CopilotClient:
    """What a person or a program can ask the copilot over HTTP."""

    def __init__(self, url: str, data: Path) -> None:
        self.url, self._data = url, data
        self._client = httpx.Client(base_url=url, timeout=20.0, trust_env=False)

    def incidents(self) -> list[dict[str, Any]]:
        """Every incident whole, the oldest first."""
        lines = self._get("/incidents")
        return [self._get(f"/incidents/{line['id']}") for line in reversed(lines)]

    def approve(self, incident: str, plan: dict[str, Any], approver: str) -> str:
        """Say yes to a plan; the answer's own words."""
        body = {
            "plan_id": plan["id"],
            "digest": plan["digest"],
            "decision": "approve",
            "approver": approver,
            "reason": "",
        }
        token = {"authorization": f"Bearer {home.admin_token(self._data)}"}
        response = self._client.post(f"/incidents/{incident}/approval", json=body, headers=token)
        return f"{response.status_code} {response.text[:200]}"

    def ready(self) -> bool:
        """Whether it takes alerts and works on them."""
        try:
            return self._client.get("/readyz").is_success
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _get(self, path: str) -> Any:
        try:
            response = self._client.get(path)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise CopilotServiceError(f"copilot {path}: {error!r}") from error
        return response.json()


@contextmanager
def serving(lab: Lab, port: int, folder: Path, extra: dict[str, Any]) -> Iterator[CopilotClient]:
    """A copilot with an empty memory, on a port that the lab's monitoring knows."""
    folder.mkdir(parents=True)
    write_json(folder / "topology.json", topology())
    config, runners = folder / "copilot.toml", folder / "runners.toml"
    runners.write_text(
        f'[http.platform]\nurl = "{lab.platform.url}"\ntoken_env = "{_TOKEN}"\n', encoding="utf-8"
    )
    config.write_text(_toml(settings(lab, folder) | extra), encoding="utf-8")
    program = [sys.executable, "-m", "copilot", "--config", str(config)]
    log = folder / "copilot.log"
    secrets = {_TOKEN: lab.operator_token, "COPILOT_FACTS_TOKEN": lab.operator_token}
    process = spawn([*program, "serve", "--port", str(port)], output=log, env=secrets)
    door = CopilotClient(f"http://127.0.0.1:{port}", folder / "data")
    try:
        until = time.monotonic() + _STARTS_S
        while not door.ready():
            if process.poll() is not None or time.monotonic() > until:
                said = log.read_text(encoding="utf-8", errors="replace")[-600:]
                raise CopilotServiceError(f"the copilot did not come up: {said}")
            time.sleep(0.3)
        yield door
    finally:
        door.close()
        end(process, 10.0)


def settings(lab: Lab, folder: Path) -> dict[str, Any]:
    """What the copilot is told of this lab; everything else is as it ships."""
    return {
        "data_dir": str(folder / "data"),
        "prometheus_url": lab.monitoring.prometheus,
        "alertmanager_url": lab.monitoring.alertmanager,
        "facts_url": f"{lab.platform.url}/facts",
        "topology_file": str(folder / "topology.json"),
        "runners_file": str(folder / "runners.toml"),
        "playbooks_dir": str(_PLAYBOOKS),
        "embedder": "none",
        "lookback_s": 900.0,
        "watch_every_s": 5.0,
        "refresh_s": 10.0,
    }


def _toml(values: dict[str, Any]) -> str:
    def shown(value: Any) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return f'"{value}"' if isinstance(value, str) else str(value)

    return "".join(f"{name} = {shown(value)}\n" for name, value in values.items())
