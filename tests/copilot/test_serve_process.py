"""`copilot serve` as a process: told to stop in a step, it ends the step and leaves."""

import random
import signal
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

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


def test_two_services_on_one_database_are_replaced_one_by_one_while_alerts_arrive(
    mortal: Server, tmp_path: Path
) -> None:
    """As a deployment is rolled out: a new one comes up, then an old one is told to leave."""
    url = mortal.fresh()
    with closing(Nursery()) as nursery:

        def another(name: str) -> Service:
            folder = tmp_path / name
            folder.mkdir()
            variables = {**environment(folder, "roll", 0), "COPILOT_DATABASE_URL": url}
            service = Service(nursery, folder, variables)
            service.start()
            return service

        running = [another("first"), another("second")]
        at, over, turn = Round(running[0], random.Random(0), mortal), threading.Event(), 0

        def post() -> None:
            """As a balancer does: to the next that answers."""
            nonlocal turn
            while not over.is_set():
                batch = at.alerts(8)
                while not running[(turn := turn + 1) % len(running)].post(batch):
                    over.wait(0.05)
                over.wait(0.1)

        sender = threading.Thread(target=post, daemon=True)
        sender.start()
        gone = []
        for name in ("third", "fourth"):
            running.append(another(name))
            leaving = running.pop(0)
            gone.append(leaving)
            assert leaving.end(signal.SIGTERM) == 0
        over.set()
        sender.join()
        at.service = running[0]
        for one in (*gone, *running[1:]):
            at.service.accepted |= one.accepted
        at.settle()
        wrong = ("lost", "doubled", "stuck", "failed_innocent", "fivexx")
        assert {name: at.counts[name] for name in wrong} == dict.fromkeys(wrong, 0)
        with closing(Store(url)) as store:
            events = store.journal.events(limit=100_000)
            opened = Counter(event.incident_id for event in events if event.kind == "opened")
            assert set(opened.values()) == {1}
            assert set(opened) == {one.id for one in store.incidents.list(1000)}
            assert len(opened) == len({x["labels"]["service"] for x in at.service.alerts()})
            assert store.journal.verify().ok
        for one in running:
            one.close()
