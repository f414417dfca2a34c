"""Silences in the store: what was in force stays as it was, and the journal has every change."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from copilot.store import Store, UnknownSilenceError
from copilot.store.silences import RETENTION_S
from tools.clusterer import Matcher, Silence

NOW = 1_767_225_700.0
CART, WEB = Matcher(label="service", value="cart"), Matcher(label="service", value="web")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    opened.create()
    yield opened
    opened.close()


def wanted(starts_at: float = NOW, ends_at: float = NOW + 600, **fields: object) -> Silence:
    plain = {"id": "", "matchers": (CART,), "created_by": "anna", "comment": "new disks"}
    return Silence.model_validate({**plain, "starts_at": starts_at, "ends_at": ends_at, **fields})


def test_a_silence_gets_an_id_starts_no_earlier_than_now_and_outlives_the_process(
    store: Store, tmp_path: Path
) -> None:
    kept = store.silences.set(wanted(starts_at=0.0), NOW)
    assert (kept.silence.starts_at, kept.updated_at, kept.state(NOW)) == (NOW, NOW, "active")
    again = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    again.create()
    assert again.silences.get(kept.silence.id) == kept
    assert again.silences.standing(NOW) == (kept.silence,)
    assert again.silences.standing(NOW + 600) == ()
    again.close()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({"ends_at": NOW + 900, "comment": "more"}, True, id="a longer one"),
        pytest.param({"starts_at": NOW + 0.4}, True, id="a start of another millisecond"),
        pytest.param({"matchers": (CART, WEB)}, False, id="other matchers"),
        pytest.param({"starts_at": NOW - 60}, False, id="another start"),
    ],
)
def test_a_change_keeps_the_past(store: Store, change: dict[str, object], same: bool) -> None:
    first = store.silences.set(wanted(), NOW)
    then = store.silences.set(first.silence.model_copy(update=change), NOW + 100)
    assert (then.silence.id == first.silence.id) is same
    before = store.silences.require(first.silence.id)
    assert before.state(NOW + 100) == ("active" if same else "expired")
    assert before.silence.ends_at == (then.silence.ends_at if same else NOW + 100)


def test_what_is_to_come_may_be_changed_and_ends_before_it_began(store: Store) -> None:
    first = store.silences.set(wanted(NOW + 60, NOW + 120), NOW)
    later = first.silence.model_copy(update={"starts_at": NOW + 90})
    assert store.silences.set(later, NOW + 1).silence.id == first.silence.id
    over = store.silences.expire(first.silence.id, "bob", NOW + 2)
    assert (over.silence.starts_at, over.silence.ends_at) == (NOW + 2, NOW + 2)
    assert over.state(NOW + 2) == "expired"


def test_every_change_is_in_the_journal_with_who_and_what(store: Store) -> None:
    first = store.silences.set(wanted(), NOW)
    store.silences.set(first.silence.model_copy(update={"ends_at": NOW + 900}), NOW + 1)
    store.silences.expire(first.silence.id, "bob", NOW + 2)
    store.silences.expire(first.silence.id, "eve", NOW + 3)  # over already: nothing happens
    events = store.journal.events()
    assert [(one.kind, one.by) for one in events] == [
        ("silence declared", "anna"),
        ("silence changed", "anna"),
        ("silence expired", "bob"),
    ]
    assert events[0].detail["matchers"] == ['service="cart"']
    assert events[0].detail["comment"] == "new disks"
    assert store.journal.verify().ok


def test_an_unknown_one_is_refused_and_old_ones_are_forgotten(store: Store) -> None:
    with pytest.raises(UnknownSilenceError):
        store.silences.expire("none", "anna", NOW)
    with pytest.raises(UnknownSilenceError):
        store.silences.set(wanted(id="none"), NOW)
    old = store.silences.set(wanted(), NOW)
    store.silences.set(wanted(NOW + RETENTION_S, NOW + 2 * RETENTION_S), NOW + RETENTION_S)
    assert store.silences.get(old.silence.id) is not None
    late = NOW + 601 + RETENTION_S
    store.silences.set(wanted(late, late + 60), late)
    assert store.silences.get(old.silence.id) is None
