"""`copilot serve` as a process: told to stop in a step, it ends the step and leaves."""

import random
import signal
from pathlib import Path

import pytest

from evals.torture.databases import Files
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
