"""The way of one alert: the files it passes from the HTTP request to the report of its incident.

One of the shipped recordings is delivered to the service, worked on, approved and recovered, while
every function of ours that is called is written down. A file is passed when one of its functions
runs; what only stands imported is not.
"""

import asyncio
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

from copilot import wiring
from copilot.case.engine import Engine
from copilot.knowledge import Cause
from copilot.settings import Settings
from copilot.sources.deployment import Sources
from copilot.sources.recorded import IncidentReplay
from copilot.sources.recordings import recordings
from copilot.surfaces.service import create_app
from copilot.types.time_format import iso
from tools.types import Alert

ROOT = Path(__file__).parents[2]
OURS = ("tools", "prompts", "knowledge_base", "copilot")


@dataclass(frozen=True)
class Passage:
    """A file on the way: the first function of it that ran, and the file that called it.

    `entered`: a function of it was called from another room, which is the package two names deep.
    """

    path: str
    function: str
    caller: str
    entered: bool

    @property
    def lines(self) -> int:
        """Lines of the file."""
        return (ROOT / self.path).read_text(encoding="utf-8").count("\n")


def way() -> list[Passage]:
    """The files that one alert of the first shipped recording passes, in the order of its life.

    The recording's helpers of this walk (`sources.recorded`) stand in for live telemetry and are
    left out, as is the code that only starts the process.
    """
    folder = sorted((recordings() / "incidents").iterdir())[0]
    shown = IncidentReplay(folder)
    sources = Sources(shown, shown, shown, shown, shown, shown)
    with tempfile.TemporaryDirectory(prefix="copilot-way-") as home:
        settings = Settings(data_dir=Path(home), model_use="off", embedder="none")
        with wiring.engine(settings, "way", sources=sources, clock=shown, runner=shown) as engine:
            app = create_app(engine, settings)
            # What is read once in the life of a process is on no alert's way.
            if engine.deps.memory is not None:
                engine.deps.memory.recall("", Cause(fault_kind=None))
            with _traced() as passed:
                for alert in shown.alerts():
                    shown.advance(alert.starts_at)
                    _post(app, "/api/v2/alerts", [_as_sent(alert)])
                    engine.group()
                engine.drain()
                _approve(app, engine)
                engine.drain()
            status = engine.store.incidents.list(limit=1)[0].status
    if status != "recovered":
        raise RuntimeError(f"the shipped recording ended {status!r}, so its way is not whole")
    return [one for one in passed if not one.path.startswith("copilot/sources/recorded")]


def way_summary(passed: Sequence[Passage]) -> dict[str, float]:
    """How many files and lines are on the way, and how many of them lie between rooms."""
    between = [one for one in passed if one.entered]
    return {
        "way.files": len(passed),
        "way.lines": sum(one.lines for one in passed),
        "way.files_between_rooms": len(between),
        "way.lines_between_rooms": sum(one.lines for one in between),
    }


def _as_sent(alert: Alert) -> dict[str, Any]:
    """The alert as Prometheus posts it to an Alertmanager."""
    return {
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": iso(alert.starts_at),
    }


def _approve(app: Any, engine: Engine) -> None:
    incident = engine.store.incidents.list(limit=1)[0]
    if incident.plan is None:
        raise RuntimeError(f"{incident.id} has no plan; its way is not whole")
    answer = {
        "plan_id": incident.plan.id,
        "digest": incident.plan.digest,
        "decision": "approve",
        "approver": "anna",
    }
    _post(app, f"/incidents/{incident.id}/approval", answer)


def _post(app: Any, path: str, body: Any) -> None:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post(path, json=body)

    asyncio.run(send()).raise_for_status()


@contextmanager
def _traced() -> Iterator[Sequence[Passage]]:
    """Write down, in every thread, the first call of each file of ours, and calls between rooms."""
    first: dict[str, tuple[str, str]] = {}
    entered: set[str] = set()
    prefixes = tuple(f"{ROOT / package}/" for package in OURS)

    told: set[str] = set()

    # Runs at every call in the process: a file that can tell nothing new is let go first. As no
    # local trace is returned, lines, returns and calls into C are not told.
    def saw(frame: FrameType, _event: str, _argument: object) -> None:
        code = frame.f_code
        name = code.co_filename
        if name in told:
            return
        if not name.startswith(prefixes):
            told.add(name)
        elif code.co_name != "<module>":
            caller = _calling_file(frame.f_back, prefixes)
            first.setdefault(name, (code.co_name, caller))
            if _room(caller) != _room(name):
                entered.add(name)
                told.add(name)

    passed: list[Passage] = []
    before = sys.gettrace(), threading.gettrace()
    threading.settrace(saw)
    sys.settrace(saw)
    try:
        yield passed
    finally:
        sys.settrace(before[0])
        threading.settrace(before[1])
        passed += [
            Passage(_relative(name), function, _relative(caller), name in entered)
            for name, (function, caller) in first.items()
        ]


def _calling_file(frame: FrameType | None, prefixes: tuple[str, ...]) -> str:
    """The nearest file of ours up the stack; empty where only libraries called."""
    while frame is not None and not frame.f_code.co_filename.startswith(prefixes):
        frame = frame.f_back
    return frame.f_code.co_filename if frame is not None else ""


@cache
def _room(path: str) -> str:
    """`tools/clusterer`, `copilot/case`, …"""
    return "/".join(Path(_relative(path)).parts[:2])


def _relative(path: str) -> str:
    return str(Path(path).relative_to(ROOT)) if path else ""
