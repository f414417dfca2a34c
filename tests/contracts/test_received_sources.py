"""What sources of logs, changes and facts promise, held against every one there is."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from copilot.ports import SourceError
from copilot.sources.facts import from_file, from_url
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.recorded import RecordedBundle
from copilot.store import Store
from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer, serving
from evals.localization.cases import RECORDINGS
from tests.contracts.telemetry_cases import NOW, SOURCES, Case
from tools.types import Change, Window


@pytest.fixture(params=SOURCES, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    return SOURCES[request.param]()


def test_lines_lie_inside_the_window_in_order(case: Case) -> None:
    found = case.source.lines(Window(start=case.known.start, end=case.now + 900))
    assert found
    assert [one.at for one in found] == sorted(one.at for one in found)
    assert case.known.start <= found[0].at <= found[-1].at <= case.now


@pytest.mark.parametrize("name", ["recorded", "received"])  # the simulator takes seconds
def test_earlier_lines_end_before_the_moment_asked_for(name: str) -> None:
    case = SOURCES[name]()
    found = case.source.baseline_lines(case.known.start)
    assert found
    assert max(one.at for one in found) < case.known.start


def test_the_future_holds_nothing(case: Case) -> None:
    later = Window(start=case.now + 60, end=case.now + 600)
    assert list(case.source.lines(later)) == []


# --- changes -----------------------------------------------------------------------------------


@pytest.fixture(params=["recorded", "store"])
def changing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    if request.param == "recorded":
        folders = (path.parent for path in sorted(RECORDINGS.rglob("changes.json")))
        bundle = next(b for b in map(RecordedBundle, folders) if b.changes(b.window))
        yield Case(bundle, bundle.now(), bundle.window)
        return
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    made = [Change(at=NOW - 60 * n, service="cart", kind="deploy") for n in range(5)]
    assert store.changes.record({f"{n}": one for n, one in enumerate(made)}, NOW) == 5
    assert store.changes.record({"1": made[1]}, NOW) == 0
    yield Case(store.changes, NOW, Window(start=NOW - 120, end=NOW))
    store.close()


def test_changes_were_made_inside_the_window(changing: Case) -> None:
    found = changing.source.changes(changing.known)
    assert found
    assert all(one.at in changing.known for one in found)
    assert [one.at for one in found] == sorted(one.at for one in found)
    early = Window(start=changing.known.start - 9000, end=changing.known.start - 8000)
    assert list(changing.source.changes(early)) == []


# --- facts -------------------------------------------------------------------------------------


class Platform(StrictServer):
    """Tells facts at /facts."""

    def __init__(self) -> None:
        super().__init__()
        self.told: object = {}

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        return HttpReply(200, self.told) if asked.path == "/facts" else HttpReply(404, {})


@dataclass(frozen=True)
class Told:
    """A source of facts and the hand that changes them."""

    source: Any
    tell: Any


@pytest.fixture(params=["file", "url"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Told]:
    if request.param == "file":
        path = tmp_path / "facts.json"
        yield Told(from_file(path), lambda facts: path.write_text(json.dumps(facts)))
        return
    with serving(Platform()) as server:
        api = JsonApi("facts", ApiEndpoint(f"{server.url}/facts"), sleep=lambda _: None)
        yield Told(from_url(api), lambda facts: setattr(server, "told", facts))
        api.close()


def test_facts_are_read_anew_whenever_they_are_asked_for(told: Told) -> None:
    told.tell({"replicas:cart": 2, "node:cart": "n1"})
    assert told.source.facts() == {"replicas:cart": 2.0, "node:cart": "n1"}
    told.tell({"replicas:cart": 3})
    assert told.source.facts() == {"replicas:cart": 3.0}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ([], "no JSON object"),
        ({"cart": 1}, "'cart' is no `<fact>:<component>`"),
        ({"Replicas:cart": 1}, "no `<fact>"),
        ({"replicas:cart": None}, "is NoneType"),
        ({"replicas:cart": True}, "is bool"),
        ({"replicas:cart": [1]}, "is list"),
        ({"node:cart": "x" * 501}, "501 letters"),
        ({f"replicas:{n}": 1 for n in range(50_001)}, "50001 facts"),
    ],
)
def test_what_is_wrong_with_facts_is_named(told: Told, facts: object, said: str) -> None:
    told.tell(facts)
    with pytest.raises(SourceError, match=said):
        told.source.facts()


def test_facts_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        from_file(tmp_path / "none.json").facts()
