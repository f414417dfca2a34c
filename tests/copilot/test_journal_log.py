"""What the service says of its work, line by line, on stderr."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from copilot.store import Store
from copilot.surfaces.commands.journal_log import LogFormat, told
from copilot.types.incident import Incident
from tools.types import Candidate, Ranking

NOW = 1_767_225_700.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    opened.create()
    cart = Candidate(component="cart", score=1, fault_kind="errors", probability=0.9)
    opened.incidents.open(
        Incident(
            id="inc-1",
            title="HighErrorRate on web",
            opened_at=NOW,
            updated_at=NOW,
            ranking=Ranking(certainty="likely", candidates=(cart,)),
        )
    )
    yield opened
    opened.close()


def lines(
    store: Store, form: LogFormat, kind: str, by: str = "copilot", **detail: str
) -> list[str]:
    """What is said of one row."""
    said: list[str] = []
    with told(store, form, said.append):
        store.journal.append("inc-1", kind, by, {**detail}, NOW)
    return said


SAID: dict[str, tuple[str, str, dict[str, str], str]] = {
    "opened": (
        "opened", "copilot", {"reason": "no open group is near"},
        'inc-1 opened "HighErrorRate on web": no open group is near',
    ),
    "planned": (
        "planned", "copilot", {"reason": "the first for errors", "plan": "restart-1"},
        'inc-1 planned "HighErrorRate on web" component=cart plan=restart-1: the first for errors',
    ),
    "decided": (
        "approved", "anna", {"reason": "approved as shown (1 of 2)"},
        'inc-1 approved "HighErrorRate on web" component=cart by=anna: approved as shown (1 of 2)',
    ),
    "run": (
        "acted", "copilot", {"reason": "would run wait", "step": "Wait a bit"},
        'inc-1 acted "HighErrorRate on web" component=cart step="Wait a bit": would run wait',
    ),
    "verified": (
        "verified", "copilot", {"reason": "as before", "outcome": "unchanged"},
        'inc-1 verified "HighErrorRate on web" component=cart outcome=unchanged: as before',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAID)
def test_each_thing_that_matters_is_one_line(case: str, store: Store) -> None:
    kind, by, detail, expected = SAID[case]
    assert lines(store, "text", kind, by, **detail) == [f"2026-01-01T00:01:40Z {expected}\n"]


def test_the_same_as_json(store: Store) -> None:
    (line,) = lines(store, "json", "approved", "anna", reason="looks right", plan="restart-1")
    assert json.loads(line) == {
        "time": "2026-01-01T00:01:40Z",
        "incident": "inc-1",
        "kind": "approved",
        "by": "anna",
        "title": "HighErrorRate on web",
        "component": "cart",
        "reason": "looks right",
        "plan": "restart-1",
    }


@pytest.mark.parametrize("kind", ["gathered", "asked", "located", "triaged"])
def test_the_small_steps_are_not_said(kind: str, store: Store) -> None:
    assert lines(store, "text", kind, reason="29 findings") == []


def test_what_was_there_before_the_start_is_not_said_again(store: Store) -> None:
    store.journal.append("inc-1", "opened", "copilot", {"reason": "before"}, NOW)
    assert [
        line.endswith(": now\n") for line in lines(store, "text", "resolved", reason="now")
    ] == [True]


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_and_no_second_line_gets_in(form: LogFormat, store: Store) -> None:
    reason = "token=hunter2hunter2hunter2 Bearer abcdefghijklmnopqrstuvwx\n2026 inc-9 approved"
    (line,) = lines(store, form, "rejected", "eve\nadam", reason=reason)
    assert "hunter2" not in line
    assert "abcdefghijklmnop" not in line
    assert line.count("\n") == 1
