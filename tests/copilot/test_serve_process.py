"""`copilot serve` as a process: told to stop in a step, it ends the step and leaves."""

import random
import signal
import threading
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from copilot.store import Store
from evals.torture.databases import Files, Server
from evals.torture.kinds import PATIENCE_S, Round, approved, environment
from evals.torture.service import Nursery, Service

pytestmark = pytest.mark.integration


def test_a_service_told_to_stop_in_a_step_ends_it_records_it_and_leaves_with_0(
    tmp_path: Path,
) -> None:
    nursery = Nursery()
    try:
        service = Service(nursery, tmp_path, environment(tmp_path, "stop in a step", 0))
        service.start()
        approved(Round(service, random.Random(0), Files()))
        ledger = tmp_path / "ledger"
        assert service.until(ledger.exists, PATIENCE_S)
        assert service.end(signal.SIGTERM) == 0
        started, ended = ledger.read_text("utf-8").split()
        assert (started.partition(":")[0], ended.partition(":")[0]) == ("start", "end")
        service.start()
        (incident,) = service.incidents()
        assert incident["unsettled"] is None
        assert [result["ok"] for result in incident["results"]] == [True]
        assert len(ledger.read_text("utf-8").split()) == 2
        service.close()
    finally:
        nursery.close()


@dataclass
class Balancer:
    """Hands each delivery to the next of the running services that takes it."""

    running: list[Service]
    at: Round
    over: threading.Event = field(default_factory=threading.Event)

    def send(self) -> None:
        turn = 0
        while not self.over.wait(0.1):
            batch, turn = self.at.alerts(8), turn + 1
            while not self.running[turn % len(self.running)].post(batch):
                turn += 1
                self.over.wait(0.05)


def test_two_services_on_one_database_are_replaced_one_by_one_while_alerts_arrive(
    mortal: Server, tmp_path: Path
) -> None:
    """As a deployment is rolled out: a new one comes up, then an old one is told to leave."""
    url = mortal.fresh()
    with ExitStack() as stack:
        nursery = stack.enter_context(closing(Nursery()))

        def another(name: str) -> Service:
            folder = tmp_path / name
            folder.mkdir()
            variables = {**environment(folder, "roll", 0), "COPILOT_DATABASE_URL": url}
            service = Service(nursery, folder, variables)
            stack.callback(service.close)
            service.start()
            return service

        at = Round(another("first"), random.Random(0), mortal)
        balancer = Balancer([at.service, another("second")], at)
        sender = threading.Thread(target=balancer.send, daemon=True)
        sender.start()
        everyone = list(balancer.running)
        for name in ("third", "fourth"):
            everyone.append(another(name))
            balancer.running.append(everyone[-1])
            assert balancer.running.pop(0).end(signal.SIGTERM) == 0
        balancer.over.set()
        sender.join()
        at.service = everyone[-1]
        at.service.accepted = set().union(*(one.accepted for one in everyone))
        at.settle()
        wrong = ("lost", "doubled", "stuck", "failed_innocent", "fivexx")
        assert {name: at.counts[name] for name in wrong} == dict.fromkeys(wrong, 0)
        each_service_is_one_incident_that_was_opened_once(url, at.service.alerts())


def each_service_is_one_incident_that_was_opened_once(
    url: str, alerts: list[dict[str, Any]]
) -> None:
    with closing(Store(url)) as store:
        events = store.journal.events(limit=100_000)
        opened = [event.incident_id for event in events if event.kind == "opened"]
        assert sorted(opened) == sorted(one.id for one in store.incidents.list(1000))
        assert len(opened) == len({one["labels"]["service"] for one in alerts})
        assert store.journal.verify().ok
