"""Live: one running lab, from its folder and tokens to its end."""

import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from threading import Thread

from evals.lab.monitoring import Monitoring
from evals.lab.operator import Platform
from evals.lab.places import LabFolder, write_json
from evals.lab.processes import born, end, end_other, spawn

_STATE = "incident-copilot-lab.json"
_MARK = ".lab"
_STARTS_S = 120.0


class LabError(Exception):
    """The lab cannot do what was asked; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that is up."""

    places: LabFolder
    monitoring: Monitoring
    platform: Platform  # with the operator's token
    saboteur: Platform
    operator_token: str


def state_file() -> Path:
    """Where a running lab of this user leaves its address."""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / (
        f"{os.getuid()}-{_STATE}"
    )


@contextlib.contextmanager
def running(
    *,
    seed: int = 0,
    copilot: str = "",
    collector: str = "",
    webhook: str = "",
    keep: bool = False,
) -> Iterator[Lab]:
    """Bring a lab up; on leaving, however that comes, everything it started has ended.

    `copilot` is host:port of who is told of alerts; `collector` receives spans and logs by OTLP,
    `webhook` changes.
    """
    _only_one()
    root = Path(tempfile.mkdtemp(prefix="lab-"))
    places, state = LabFolder(root), state_file()
    operator, saboteur = secrets.token_hex(16), secrets.token_hex(16)
    monitoring = Monitoring(root / "monitoring", places.targets, copilot)
    process: Popen[bytes] | None = None
    try:
        (root / _MARK).touch()
        write_json(places.targets, [])
        monitoring.up()
        arguments = ["--root", str(root), "--seed", str(seed)]
        arguments += ["--collector", collector, "--webhook", webhook]
        process = spawn(
            [sys.executable, "-m", "evals.lab.platform", *arguments],
            output=root / "logs" / "platform.stderr",
            pipe=True,
            env={"LAB_OPERATOR_TOKEN": operator, "LAB_SABOTEUR_TOKEN": saboteur},
        )
        url = f"http://127.0.0.1:{_port(process, root)}"
        clients = (Platform(url, operator), Platform(url, saboteur))
        _announce(state, url, saboteur, monitoring, root)
        yield Lab(places, monitoring, *clients, operator)
        for client in clients:
            client.close()
    finally:
        if process is not None:
            end(process, 10.0)
        monitoring.down()
        state.unlink(missing_ok=True)
        if not keep:
            shutil.rmtree(root, ignore_errors=True)


def found() -> dict[str, str] | None:
    """The running lab of this user: its addresses; None where there is none."""
    path = state_file()
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if born(int(told["pid"])) != told["started"]:
        return None
    return {name: str(value) for name, value in told.items()}


def attached(told: dict[str, str]) -> Lab:
    """A lab that another process runs."""
    root, platform = Path(told["root"]), Platform(told["platform"], told["token"])
    places = LabFolder(root)
    monitoring = Monitoring(
        root / "monitoring",
        places.targets,
        prometheus_port=int(told["prometheus"].rpartition(":")[2]),
        alertmanager_port=int(told["alertmanager"].rpartition(":")[2]),
    )
    return Lab(places, monitoring, platform, platform, told["token"])


def take_down() -> str:
    """End the running lab, and clear away what a killed one left; says what was done."""
    path = state_file()
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        path.unlink(missing_ok=True)
        return "no lab is running"
    ended = end_other(int(told["pid"]), int(told["started"]))
    path.unlink(missing_ok=True)
    root = Path(told["root"])
    if (root / _MARK).exists():  # nothing is deleted that no lab has made
        shutil.rmtree(root, ignore_errors=True)
    return "the lab is down" if ended else "the lab had ended already; its folder is cleared away"


def _only_one() -> None:
    other = found()
    if other is not None:
        raise LabError(
            f"a lab is running already (pid {other['pid']}); take it down with "
            "`python -m evals lab down`"
        )
    if state_file().exists():
        take_down()


def _announce(path: Path, url: str, saboteur: str, monitoring: Monitoring, root: Path) -> None:
    told = {
        "pid": os.getpid(),
        "started": born(os.getpid()),
        "platform": url,
        "token": saboteur,
        "prometheus": monitoring.prometheus,
        "alertmanager": monitoring.alertmanager,
        "root": str(root),
    }
    path.touch(0o600)  # it holds a token: others may not read it, not even for a moment
    path.write_text(json.dumps(told), encoding="utf-8")


def _port(process: Popen[bytes], root: Path) -> int:
    assert process.stdout is not None
    lines: list[bytes] = []
    stream = process.stdout
    reader = Thread(target=lambda: lines.append(stream.readline()), daemon=True)
    reader.start()
    reader.join(_STARTS_S)
    if not lines or not lines[0].strip().isdigit():
        said = (root / "logs" / "platform.stderr").read_text(encoding="utf-8")[-600:]
        raise LabError(f"the shop did not come up: {said or 'no answer'}")
    return int(lines[0])
