"""The lab as a whole, with the real Prometheus and Alertmanager: it breaks, is mended, and ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evals.lab import live
from evals.lab.faults.catalogue import scenario
from evals.lab.faults.controller import Controller
from evals.lab.monitoring import missing
from evals.lab.processes import born

ROOT = Path(__file__).parents[2]
SLOW_S = 240.0  # nothing here is about speed; on a busy machine all of it takes long

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "everything is there")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def process(place: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "evals", "lab", "up"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(place)}
    with subprocess.Popen(command, cwd=place, env=env, stderr=subprocess.DEVNULL) as started:
        yield started
        started.kill()


def until(seconds: float, true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.25)
    return False


@pytest.mark.integration
def test_a_killed_service_is_alerted_mended_and_everything_ends_with_a_killed_parent(
    process: subprocess.Popen[bytes],
) -> None:
    assert until(SLOW_S, lambda: live.found() is not None), "the lab did not come up"
    told = live.found()
    assert told is not None
    lab = live.attached(told)

    def firing() -> set[tuple[str, str]]:
        return {
            (one["labels"]["alertname"], one["labels"].get("service", ""))
            for one in lab.monitoring.alerts()
            if one["state"] == "firing"
        }

    Controller(lab).inject(scenario("process_killed"))
    assert until(SLOW_S, lambda: ("InstanceDown", "recommendation") in firing())
    assert until(
        SLOW_S,
        lambda: any(
            one["labels"]["service"] == "recommendation" for one in lab.monitoring.notified()
        ),
    ), "Alertmanager was not told"
    assert lab.platform.do("recommendation", "restart").startswith("restarted 1")
    assert until(SLOW_S, lambda: ("InstanceDown", "recommendation") not in firing())

    pids = [one["pid"] for one in lab.platform.get("/instances")]
    lives = {pid: born(pid) for pid in pids}
    assert None not in lives.values()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert until(SLOW_S, lambda: all(born(pid) != since for pid, since in lives.items()))
    assert live.take_down() == "the lab had ended already; its folder is cleared away"
    assert not Path(told["root"]).exists()
    lab.platform.close()
