"""What a person confirmed teaches the next investigation, is shown, and can be thrown away."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from copilot import wiring
from copilot.case.confirming import CauseStatement, confirm, withdraw
from copilot.case.learning import memory, summary
from copilot.settings import Settings, load
from copilot.store import StoredCause
from copilot.surfaces.cli import app
from copilot.types.incident import Incident
from tests.copilot.worked_incident import POOL, work_on
from tools.playbook_executor import Policy
from tools.topology_walker.site import LEAST, Lesson

NOW = 1_700_000_000.0


def typed(settings: Settings, *arguments: str, answer: str = "") -> Result:
    folder = ("--data-dir", str(settings.home))
    return CliRunner().invoke(
        app, [*folder, *arguments], input=answer, env={"COLUMNS": "200", "USER": "anna"}
    )


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Incident]:
    """An incident of a recording, resolved, its cause confirmed."""
    settings = load(data_dir=tmp_path_factory.mktemp("known"), model_use="off")
    incident = work_on(settings, POOL)
    with wiring.store(settings) as store:
        store.incidents.update(incident.id, incident.updated_at, status="resolved")
        said = CauseStatement(component="cart", fault_kind="pool_exhaustion", by="anna")
        return settings, confirm(store, Policy(), incident.id, said, NOW)


def test_the_next_one_like_it_says_so_and_is_judged_by_what_shipped(
    known: tuple[Settings, Incident], tmp_path: Path
) -> None:
    settings, first = known
    with wiring.store(settings) as store:
        (row,) = store.causes.taught()
    assert "cart" not in row.lesson
    later = load(data_dir=tmp_path / "later", model_use="off")
    with wiring.store(later) as store:
        store.causes.put(row)
    again = work_on(later, POOL)
    (term,) = [one for one in again.ranking.candidates[0].terms if one.name.startswith("as in")]
    assert term.name == f"as in {first.id} here"
    assert set(term.evidence) <= {one.id for one in again.evidence}
    assert again.shipped is not None
    assert again.shipped.candidates[0] == first.ranking.candidates[0]
    with wiring.store(later) as store:
        store.incidents.update(again.id, again.updated_at, status="resolved")
        said = CauseStatement(component="cart", fault_kind="pool_exhaustion", by="bob")
        confirm(store, Policy(), again.id, said, NOW + 1)
        mine = next(one for one in memory(store).lessons if one.incident == again.id)
    assert mine.model_copy(update={"incident": first.id}) == Lesson.model_validate_json(row.lesson)


def test_without_a_confirmed_cause_nothing_is_learned_or_changed(
    known: tuple[Settings, Incident],
) -> None:
    _, first = known
    assert first.shipped is None
    assert not [one for c in first.ranking.candidates for one in c.terms if "here" in one.name]


def test_it_is_shown_by_doctor_and_by_its_own_command_and_thrown_away(
    known: tuple[Settings, Incident], tmp_path: Path
) -> None:
    settings, first = known
    told = typed(settings, "doctor").output
    assert "chances as shipped: 1 of 20 confirmed incidents" in told
    assert "signatures of pool_exhaustion 1" in told
    shown = typed(settings, "learned", "show")
    assert f"connection pool exhausted: {first.id}" in shown.output
    assert typed(settings, "learned", "reset", answer="n\n").exit_code == 1
    assert typed(settings, "learned", "reset", answer="y\n").exit_code == 0
    assert typed(settings, "learned", "show").exit_code == 1
    assert "nothing yet" in typed(settings, "doctor").output
    assert typed(settings, "cause", first.id).output.count("said by anna") == 1  # still confirmed
    journal = typed(settings, "journal", "export").output
    assert "forgot what 1 confirmed incidents taught" in journal


def test_what_is_taken_back_or_written_by_another_version_teaches_nothing(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path / "data", model_use="off")
    given = {"component": "cart", "fault_kind": "errors", "by": "anna", "at": NOW}
    with wiring.store(settings) as store:
        store.incidents.open(
            Incident(id="inc-1", title="x", status="resolved", opened_at=NOW, updated_at=NOW)
        )
        said = CauseStatement(component="cart", fault_kind="errors", by="anna", force=True)
        confirm(store, Policy(), "inc-1", said, NOW)
        for name, lesson in (("inc-2", ""), ("inc-3", "{}"), ("inc-4", '{"incident": 1')):
            store.causes.put(StoredCause(incident_id=name, lesson=lesson, **given))
        assert [one.incident for one in memory(store).lessons] == ["inc-1"]
        withdraw(store, Policy(), "inc-1", "anna", "", NOW)
        assert memory(store).lessons == ()


def test_from_twenty_incidents_on_the_chances_are_fitted_here(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path / "data", model_use="off")
    with wiring.store(settings) as store:
        for number in range(LEAST):
            lesson = Lesson(
                incident=f"inc-{number}", fault_kind="errors", chance=0.95, right=number % 2 == 0
            )
            store.causes.put(
                StoredCause(
                    incident_id=lesson.incident,
                    component="cart",
                    fault_kind="errors",
                    by="anna",
                    at=NOW + number,
                    lesson=lesson.model_dump_json(),
                )
            )
            found = summary(store)
            assert (found.calibration is None) == (number + 1 < LEAST)
        assert found.calibration is not None
        assert found.calibration.of(0.95) < 0.85
        assert found.until == NOW + LEAST - 1
    assert "chances fitted here on 20 incidents" in typed(settings, "doctor").output
