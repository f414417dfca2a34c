"""The kinds of fault: what is done to a service, what is looked at afterwards, what is counted."""

import json
import random
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from copilot.sources.recorded import RecordedBundle
from copilot.types.time_format import iso
from evals.torture.databases import Databases
from evals.torture.service import Service, TortureError
from tools.types import Window

MOVES_S = 150.0
"""What has not moved on for this long after the faults is stuck: on PostgreSQL a killed worker's
run is free when its lease ends (60 s) and the sweep has passed (15 s); twice that. While something
moves, a busy machine is waited for."""

PATIENCE_S = 180.0
"""So long one thing may take on a machine that is busy; one that hangs does not come at all."""

RECORDING = Path(__file__).parents[1] / "incidents/incidents/lab-a47290"
"""A full disk, for which the catalogue has a step that runs a program."""
OPEN = ("investigating", "acting")


@dataclass
class Round:
    """One service under one kind of fault, and what was counted."""

    service: Service
    chance: random.Random
    databases: Databases
    counts: Counter[str] = field(default_factory=Counter)
    notes: dict[str, JsonValue] = field(default_factory=dict)
    posted: int = 0

    def alerts(self, count: int, **dates: str) -> list[dict[str, Any]]:
        """New alerts of a few services, each of a name that no other has."""
        self.posted += count
        began = dates.get("startsAt") or iso(time.time() - 1)
        return [
            {
                "labels": {
                    "alertname": f"Torture{self.posted - one}",
                    "service": f"service-{self.chance.randrange(8)}",
                    "severity": "critical",
                },
                "startsAt": began,
            }
            for one in range(count)
        ]

    def keep_posting(self, until: threading.Event) -> None:
        """Post batches until told to stop; what is not taken is sent again, as senders do."""
        while not until.is_set():
            batch = self.alerts(self.chance.choice((1, 8, 64)))
            while not self.service.post(batch) and not until.wait(0.05):
                pass

    @contextmanager
    def posting(self) -> Iterator[None]:
        """While inside, somebody posts."""
        until = threading.Event()
        sender = threading.Thread(target=self.keep_posting, args=(until,), daemon=True)
        sender.start()
        try:
            yield
        finally:
            until.set()
            sender.join()

    def settle(self) -> None:
        """Wait until nothing moves any more, then count."""
        service = self.service
        told: list[dict[str, Any]] = []

        def undecided() -> set[str]:
            told[:] = service.alerts()
            return service.accepted - {one["labels"].get("alertname") for one in told}

        self.counts["lost"] += len(service.until_none(undecided, MOVES_S))
        self.counts["stuck"] += len(service.until_none(self._moving, MOVES_S))
        self.counts["stuck"] += not service.until(service.ready, PATIENCE_S)
        identities = Counter((x["fingerprint"], x["starts_at"], x["status"]) for x in told)
        self.counts["doubled"] += sum(number - 1 for number in identities.values())
        statuses = Counter(one["status"] for one in service.incidents())
        self.counts["failed_innocent"] += statuses["failed"]
        self.counts["fivexx"] += service.fivexx
        if service.first_fault:
            tail = (service.folder / "log").read_text("utf-8", "replace")
            self.notes |= {"first_fault": service.first_fault, "log": _first_trace(tail)}
        self.notes |= {"alerts": len(service.accepted), "incidents": sum(statuses.values())}

    def _moving(self) -> set[tuple[str, str, str]]:
        """Which incidents still are worked on, and where they stand."""
        listed = self.service.ask("GET", "/incidents?limit=500") or []
        return {
            (one["id"], one["status"], str(one["updated_at"]))
            for one in listed
            if one["status"] in OPEN
        }


def _first_trace(log: str) -> str:
    """The first traceback's end, which is what a person needs to find the fault."""
    found = log.partition("Traceback (most recent call last)")[2]
    return found[:4000][-1200:]


# --- the kinds of fault --------------------------------------------------------------------------


def killed(at: Round) -> None:
    """kill -9 at random instants while somebody posts and incidents are worked on."""
    kills = 4
    with at.posting():
        for _ in range(kills):
            time.sleep(at.chance.uniform(0.1, 2.0))
            at.service.end(signal.SIGKILL)
            at.service.start()
    at.notes["kills"] = kills


def killed_in_a_step(at: Round) -> None:
    """kill -9 between the approval of a step and a moment after its program would have ended."""
    approved(at)
    _somewhere_in_the_step(at)
    at.service.end(signal.SIGKILL)
    at.service.start()
    _told_what_ran(at)


def stopped_in_a_step(at: Round) -> None:
    """SIGTERM in the same span: exit code 0, and nobody has to be asked afterwards."""
    approved(at)
    _somewhere_in_the_step(at)
    code = at.service.end(signal.SIGTERM)
    at.notes["exit_code"] = code
    at.counts["stuck"] += code != 0
    at.service.start()
    asked = any(one["unsettled"] for one in at.service.incidents())
    at.counts["stuck"] += asked
    _told_what_ran(at)


def _somewhere_in_the_step(at: Round) -> None:
    """Three times of four a moment of the program's 0.6 s, else one before it began."""
    if at.chance.random() < 0.75:
        at.service.until((at.service.folder / "ledger").exists, PATIENCE_S)
    time.sleep(at.chance.uniform(0.0, 0.5))


def without_room(at: Round) -> None:
    """A full disk (or, on PostgreSQL, a server that is killed and comes back) for a while."""
    with at.posting():
        time.sleep(1.0)
        with at.databases.outage(at.service):
            time.sleep(3.0)
        time.sleep(1.0)
    at.notes["refused"] = at.service.refused
    at.counts["stuck"] += not _briefed(at, "after the outage")


def on_a_wrong_clock(at: Round) -> None:
    """The host's clock is set back an hour, ahead two days, and right, with incidents at work."""
    for ahead in (-3600.0, 2 * 86_400.0, 0.0):
        at.service.post(at.alerts(8))
        at.service.set_clock(ahead)
        at.counts["stuck"] += not _briefed(at, f"clock {ahead:+.0f} s")


def of_wrong_dates(at: Round) -> None:
    """Senders whose alerts begin tomorrow, in the year 9999, or in the year 1; then a right one."""
    for date in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:01Z", iso(time.time() + 21_600)):
        for one in at.alerts(6, startsAt=str(date)):
            one["labels"]["service"] = f"far-{at.posted}-{one['labels']['alertname']}"
            at.service.post([one])
    at.counts["stuck"] += not _briefed(at, "after wrong dates")


def of_dead_sources(at: Round) -> None:
    """Metrics, logs and a model that take a connection and never answer."""
    at.counts["stuck"] += not _briefed(at, "with dead sources")


def hostile(at: Round) -> None:
    """Input of wrong types, shapes and sizes, and connections that dribble."""
    bodies = _hostile_bodies()
    paths = ("/api/v2/alerts", "/webhooks/auto", "/changes", "/v1/metrics", "/api/v2/silences")
    warm = 0.0
    for turn in range(6):
        for path in paths:
            for body in bodies:
                at.service.ask("POST", path, raw=body)
        at.service.post(at.alerts(64))
        warm = at.service.rss if turn == 2 else warm
    with _dribbling(at.service.port):
        at.counts["stuck"] += not _briefed(at, "beside slow senders")
    grown = at.service.rss / warm - 1.0 if warm else 0.0
    at.notes["rss_growth"] = round(max(0.0, grown), 4)


KINDS: Mapping[str, Callable[[Round], None]] = {
    "kill": killed,
    "kill in a step": killed_in_a_step,
    "stop in a step": stopped_in_a_step,
    "database": without_room,
    "clock": on_a_wrong_clock,
    "dates": of_wrong_dates,
    "sources": of_dead_sources,
    "hostile": hostile,
}
ACTING = ("kill in a step", "stop in a step")


def _briefed(at: Round, name: str) -> bool:
    """Whether a new, right alert of a service of its own gets its brief."""
    (one,) = at.alerts(1)
    one["labels"]["service"] = f"fresh-{at.posted}"
    began = time.monotonic()
    if not at.service.until(lambda: at.service.post([one]), PATIENCE_S):
        return False
    wanted = one["labels"]["alertname"]

    def told() -> bool:
        return any(
            incident["brief"]
            for incident in at.service.incidents()
            if any(x["labels"].get("alertname") == wanted for x in incident["alerts"])
        )

    so = at.service.until(told, PATIENCE_S)
    at.notes[f"brief_s {name}"] = round(time.monotonic() - began, 1)
    return so


def approved(at: Round) -> None:
    """Post the alerts of the recording and approve the plan they lead to."""
    approve(at, planned(at))


def planned(at: Round) -> dict[str, Any]:
    """Post the alerts of the recording; the incident, when its plan waits for a yes."""
    alerts = [
        {"labels": {**one.labels, "alertname": one.name}, "startsAt": iso(one.starts_at)}
        for one in _recorded()
    ]
    at.service.post(alerts)

    def waiting() -> list[dict[str, Any]]:
        return [x for x in at.service.incidents() if x["status"] == "awaiting_approval"]

    if not at.service.until(waiting, PATIENCE_S):
        raise TortureError("the recording that ships led to no plan")
    return waiting()[0]


def approve(at: Round, incident: dict[str, Any]) -> None:
    """Two people say yes to its plan."""
    plan = {"plan_id": incident["plan"]["id"], "digest": incident["plan"]["digest"]}
    for person in ("anna", "bob"):
        answer = {**plan, "decision": "approve", "approver": person}
        at.service.ask("POST", f"/incidents/{incident['id']}/approval", answer)


def _told_what_ran(at: Round) -> None:
    """Answer as a person who looked at the target would, let it end, and count the starts."""
    ledger = at.service.folder / "ledger"

    def lines() -> list[str]:
        return ledger.read_text("utf-8").split() if ledger.exists() else []

    def answered() -> bool:
        for one in at.service.incidents():
            if one["unsettled"] is not None:
                said = {"ran": f"start:{one['unsettled']['key']}" in lines(), "by": "anna"}
                at.service.ask("POST", f"/incidents/{one['id']}/step", said)
                at.notes["asked"] = True
        return any(one["results"] for one in at.service.incidents())

    at.counts["stuck"] += not at.service.until(answered, PATIENCE_S)
    starts = Counter(line for line in lines() if line.startswith("start:"))
    at.counts["steps_twice"] += sum(number - 1 for number in starts.values())
    at.notes["starts"] = sum(starts.values())


def _recorded() -> Sequence[Any]:
    bundle = RecordedBundle(RECORDING)
    window = Window(start=bundle.window.start - 86_400, end=bundle.window.end)
    return [one for one in bundle.alerts(window) if one.starts_at <= bundle.window.end]


def _hostile_bodies() -> list[bytes]:
    nested = b"[" * 20_000
    shapes: list[Any] = [None, 1, "x", [], {}, [None], [[]], [{}], {"alerts": 3}, [{"labels": 1}]]
    names: list[Any] = [1, None, [], {}, "", "\x00", "🚨"]
    shapes += [[{"labels": {"alertname": one}}] for one in names]
    shapes += [[{"labels": {f"l{i}": "v" for i in range(3_000)}, "startsAt": "yesterday"}]]
    shapes += [[{"labels": {"alertname": "a" * 300_000}, "startsAt": 1e308}]]
    raw = [b"", b"\xff\xfe", b"{", b"NaN", b'{"a":1e999}', nested, b"1" * 200_000]
    return [*(json.dumps(one).encode() for one in shapes), *raw]


@contextmanager
def _dribbling(port: int, count: int = 50) -> Iterator[None]:
    """Connections that have sent half of a request and say nothing more."""
    with ExitStack() as stack:
        for _ in range(count):
            half = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
            half.sendall(b"POST /api/v2/alerts HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le")
        yield


@contextmanager
def deaf() -> Iterator[int]:
    """A server that takes connections and answers nothing; yields its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield listener.getsockname()[1]


def environment(folder: Path, kind: str, deaf: int) -> dict[str, str]:
    """Settings of a service that is on its own: no model, no search by meaning, no watch."""
    common = {
        "COPILOT_MODEL_USE": "off",
        "COPILOT_EMBEDDER": "none",
        "COPILOT_WATCH_EVERY_S": "0",
        "COPILOT_VERIFY_LIMIT_S": "5",
        "COPILOT_SETTLE_S": "2",
        "COPILOT_HOST": "127.0.0.1",
    }
    if kind == "sources":
        at = f"http://127.0.0.1:{deaf}"
        return common | {
            "COPILOT_PROMETHEUS_URL": at,
            "COPILOT_LOKI_URL": at,
            "COPILOT_MODEL_URL": at,
            "COPILOT_MODEL_USE": "on",
            "COPILOT_ARM": "llm",
            "COPILOT_WATCH_EVERY_S": "15",
        }
    if kind not in ACTING:
        return common
    return common | {"COPILOT_BUNDLE": str(RECORDING)} | _hands(folder)


def _hands(folder: Path) -> dict[str, str]:
    """A program that notes each start and end by its step's key."""
    program = folder / "program"
    program.write_text(
        f'#!/bin/sh\necho "start:$COPILOT_STEP_KEY" >> {folder}/ledger\nsleep 0.6\n'
        f'echo "end:$COPILOT_STEP_KEY" >> {folder}/ledger\n',
        encoding="utf-8",
    )
    program.chmod(0o700)
    runners = folder / "runners.toml"
    runners.write_text(f'[command]\ndisk-cleanup = "{program}"\n', encoding="utf-8")
    runners.chmod(0o600)
    return {"COPILOT_RUNNERS_FILE": str(runners)}
