"""Killed again and again while many incidents are told: no notice is lost, none is taken twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from copilot.settings import load
from copilot.store import Store
from copilot.testing.channels import WebhookReceiver
from copilot.testing.servers import free_port
from copilot.testing.strict_http import serving

pytestmark = pytest.mark.integration

SECRET = "a secret of the receiver, long enough"
KILLS = 3
INCIDENTS = 12
FILE = """
hosts: [127.0.0.1]
targets:
  - {name: hook, kind: webhook, url: {env: HOOK}, secret: {env: HOOK_SECRET}}
routes: [{to: [hook]}]
"""


@contextmanager
def life(folder: Path, hook: str) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """One life of `copilot serve`, ready; killed at the end."""
    port = free_port()
    given = {
        "COPILOT_NOTIFY_FILE": str(folder / "notify.yaml"),
        "COPILOT_MODEL_USE": "off",
        "COPILOT_EMBEDDER": "none",
        "HOOK": hook,
        "HOOK_SECRET": SECRET,
    }
    command = [sys.executable, "-m", "copilot", "--data-dir", str(folder / "data"), "serve"]
    with subprocess.Popen([*command, "--port", str(port)], env={**os.environ, **given}) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: answers(f"{url}/readyz"), 60)
            yield process, url
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def until(holds: object, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


def alerts(number: int) -> list[dict[str, object]]:
    """One alert each of services that have nothing to do with each other."""
    return [
        {
            "labels": {
                "alertname": f"Down{n}",
                "service": f"svc-{number}-{n}",
                "severity": "critical",
            }
        }
        for n in range(INCIDENTS // KILLS)
    ]


def test_a_service_killed_in_a_storm_of_notices_loses_none_and_doubles_none(
    tmp_path: Path,
) -> None:
    chance = random.Random(7)
    (tmp_path / "notify.yaml").write_text(FILE)
    with serving(WebhookReceiver(SECRET.encode())) as receiver:
        with life(tmp_path, receiver.hook) as (_, url):
            # The first look only notes where the journal stands.
            time.sleep(2)
        for number in range(KILLS):
            before = len(receiver.told)
            with life(tmp_path, receiver.hook) as (_, url):
                sent = httpx.post(f"{url}/api/v2/alerts", json=alerts(number), timeout=60)
                assert sent.status_code == 200
                until(lambda b=before: len(receiver.told) > b, 60)
                time.sleep(chance.uniform(0.0, 0.5))
        with life(tmp_path, receiver.hook) as (_, url):
            store = Store(load(data_dir=tmp_path / "data").store_url)
            until(lambda: quiet(store), 120)
        rows = [row for one in store.incidents.list(1000) for row in store.notices.of(one.id)]
        store.close()
    assert {row.status for row in rows} == {"sent"}
    assert {row.key for row in rows} == set(receiver.ids), "written is sent, and nothing else"
    assert len(receiver.told) == len(receiver.ids), "a receiver that knows the key takes it once"
    assert {row.notice.moment for row in rows} >= {"opened", "located"}
    again = sum(receiver.ids.values()) - len(receiver.ids)
    assert again <= KILLS, "sent again is only what was being sent when it was killed"


def quiet(store: Store) -> bool:
    """Whether all work is done and nothing waits to be told."""
    cursor, last = store.notices.cursor(), store.journal.last()
    waits = any(one.by_state.get("pending") for one in store.notices.figures())
    return cursor == last and not waits and not store.runs.unfinished()
