"""The journal: what was changed behind its back is found."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from copilot.store import GENESIS, Store

NOW = 1_700_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def written(path: Path) -> Iterator[Store]:
    """Ten rows of two incidents."""
    store = Store(f"sqlite:///{path}")
    store.create()
    for number in range(10):
        detail: dict[str, JsonValue] = {"reason": f"because {number}", "score": number / 7}
        store.journal.append(f"I{number % 2}", "noted", "copilot", detail, NOW + number)
    yield store
    store.close()


def tamper(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_rows_are_read_in_order_by_incident_and_from_a_number_on(written: Store) -> None:
    assert [event.seq for event in written.journal.events()] == list(range(1, 11))
    assert [event.seq for event in written.journal.events("I1")] == [2, 4, 6, 8, 10]
    assert [event.seq for event in written.journal.events("I1", after=4, limit=2)] == [6, 8]
    assert written.journal.events()[0].previous == GENESIS


def test_an_untouched_journal_verifies_and_names_its_head(written: Store) -> None:
    check = written.journal.verify()
    assert (check.ok, check.rows, check.first_bad_seq) == (True, 10, None)
    assert check.head == written.journal.events()[-1].digest


CHANGES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "an edited detail": (
        ("UPDATE journal SET detail = replace(detail, 'because', 'despite') WHERE seq = 4",),
        4,
        "edited",
    ),
    "an edited time": (("UPDATE journal SET at = at + 1 WHERE seq = 1",), 1, "edited"),
    "another author": (("UPDATE journal SET by = 'eve' WHERE seq = 10",), 10, "edited"),
    "another incident": (
        ("UPDATE journal SET incident_id = 'I9' WHERE seq = 5",),
        5,
        "edited",
    ),
    "a space in a detail": (
        ("UPDATE journal SET detail = detail || ' ' WHERE seq = 5",),
        5,
        "not as it was written",
    ),
    "a detail that is no JSON": (
        ("UPDATE journal SET detail = '{' WHERE seq = 5",),
        5,
        "not JSON",
    ),
    "a row removed in the middle": (("DELETE FROM journal WHERE seq = 5",), 5, "missing"),
    "a row removed and the rest moved up": (
        (
            "DELETE FROM journal WHERE seq = 5",
            "UPDATE journal SET seq = -seq WHERE seq > 5",
            "UPDATE journal SET seq = -seq - 1 WHERE seq < 0",
        ),
        5,
        "does not follow",
    ),
    "the first row removed": (("DELETE FROM journal WHERE seq = 1",), 1, "missing"),
    "the end cut off": (("DELETE FROM journal WHERE seq > 7",), 8, "rows are missing"),
    "everything removed": (("DELETE FROM journal",), 1, "rows are missing"),
    "two rows that changed places": (
        (
            "UPDATE journal SET seq = 100 WHERE seq = 3",
            "UPDATE journal SET seq = 3 WHERE seq = 4",
            "UPDATE journal SET seq = 4 WHERE seq = 100",
        ),
        3,
        "does not follow",
    ),
    "a row added at the end": (
        (
            "INSERT INTO journal SELECT 11, at, incident_id, kind, by, detail, digest, digest "
            "FROM journal WHERE seq = 10",
        ),
        11,
        "edited",
    ),
    "a lost head": (("DELETE FROM journal_head",), 11, "head is missing"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found_at_its_row(written: Store, path: Path, change: str) -> None:
    statements, seq, says = CHANGES[change]
    tamper(path, *statements)
    check = written.journal.verify()
    assert not check.ok
    assert check.first_bad_seq == seq
    assert says in check.problem


def test_a_chain_rewritten_as_a_whole_shows_another_head(written: Store, path: Path) -> None:
    """What no chain can see by itself: hence the head is shown, to be noted elsewhere."""
    noted = written.journal.verify().head
    written.close()
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    written.create()
    written.journal.append("I1", "noted", "eve", {"reason": "nothing happened"}, NOW)
    check = written.journal.verify()
    assert check.ok
    assert check.head != noted


def test_concurrent_writers_make_one_chain(store: Store) -> None:
    def write(number: int) -> int:
        return store.journal.append(f"I{number % 3}", "noted", "w", {"n": number}, NOW).seq

    with ThreadPoolExecutor(8) as pool:
        seqs = list(pool.map(write, range(40)))
    assert sorted(seqs) == list(range(1, 41))
    assert store.journal.verify().ok


def test_two_stores_on_one_database_make_one_chain(database_url: str) -> None:
    stores = [Store(database_url) for _ in range(4)]
    for store in stores:
        store.create()
    appends: list[Callable[[int], object]] = [
        lambda n, s=store: s.journal.append("I1", "noted", "w", {"n": n}, NOW)  # type: ignore[misc]
        for store in stores
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda append: [append(n) for n in range(10)], appends))
    check = stores[0].journal.verify()
    assert (check.ok, check.rows) == (True, 40)
    for store in stores:
        store.close()


def test_an_exported_journal_can_be_verified_without_us(written: Store) -> None:
    lines: list[str] = []
    assert written.journal.export(lines.append) == 10
    previous = "0" * 64
    for text in lines:
        row = json.loads(text)
        digest = row.pop("digest")
        canonical = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert sha256(canonical.encode()).hexdigest() == digest
        assert row["previous"] == previous
        previous = digest


details = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(st.text(), details, max_size=3), min_size=1, max_size=3))
def test_any_detail_can_be_written_read_and_verified(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, JsonValue]]
) -> None:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('journal') / 'j.sqlite'}")
    store.create()
    kept = [store.journal.append("I\ud800", "kind", "b\x00y", row, NOW) for row in rows]
    assert list(store.journal.events()) == kept
    assert store.journal.verify().ok
    store.close()


# --- against heads noted elsewhere ---------------------------------------------------------------

KEY = b"k" * 32

REWRITTEN: dict[str, tuple[str, ...]] = {
    "the tail cut and the head set back": (
        "DELETE FROM journal WHERE seq > 5",
        "UPDATE journal_head SET seq = 5, digest = (SELECT digest FROM journal WHERE seq = 5)",
    ),
    "the table emptied and the head at its beginning": (
        "DELETE FROM journal",
        f"UPDATE journal_head SET seq = 0, digest = '{GENESIS}'",
    ),
}


@pytest.mark.parametrize("statements", REWRITTEN.values(), ids=REWRITTEN)
def test_what_is_rewritten_with_its_head_is_found_against_a_noted_head(
    written: Store, path: Path, statements: tuple[str, ...]
) -> None:
    noted = written.journal.head(KEY, NOW)
    tamper(path, *statements)
    assert written.journal.verify().ok
    check = written.journal.verify([noted])
    assert (check.ok, check.first_bad_seq) == (False, 10)
    assert "is gone" in check.problem


def test_a_chain_that_was_computed_anew_is_found_against_a_noted_head(
    written: Store, path: Path
) -> None:
    noted = written.journal.head(KEY, NOW)
    events = written.journal.events()
    tamper(path, "DELETE FROM journal", f"UPDATE journal_head SET seq = 0, digest = '{GENESIS}'")
    for event in events:
        by = "eve" if event.seq == 4 else event.by
        written.journal.append(event.incident_id, event.kind, by, event.detail, event.at)
    assert written.journal.verify().ok
    assert "made anew" in written.journal.verify([noted]).problem


def test_a_journal_that_grew_holds_against_every_head_noted_before(written: Store) -> None:
    noted = []
    for number in range(5):
        noted.append(written.journal.head(KEY, NOW + number))
        written.journal.append("I1", "noted", "copilot", {"n": number}, NOW)
    assert written.journal.verify(noted).ok


@pytest.mark.parametrize("change", [{"seq": 9}, {"digest": "0" * 64}, {"at": NOW + 1}])
def test_a_noted_head_that_was_changed_does_not_hold(
    written: Store, change: dict[str, object]
) -> None:
    head = written.journal.head(KEY, NOW)
    assert head.holds(KEY)
    assert not head.holds(b"another key of the same length..")
    assert not head.model_copy(update=change).holds(KEY)
