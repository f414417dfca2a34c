"""The catalogue that ships: complete, bilingual, bounded, and each of it can be filled."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

import knowledge_base
from knowledge_base import playbooks
from knowledge_base.catalogue import NO_PLAYBOOK, playbooks_for
from tools.playbook_executor import arguments, fill, schema
from tools.types import FaultKind, Playbook, PlaybookEffect, Scalar, Text

CATALOGUE = playbooks()
IDS = [playbook.id for playbook in CATALOGUE]
FOLDER = Path(knowledge_base.__file__).parent / "playbooks"
NOW = 1_772_546_400.0

each = pytest.mark.parametrize("playbook", CATALOGUE, ids=IDS)


def test_the_catalogue_covers_the_seeds_of_the_field() -> None:
    assert set(IDS) >= {
        "cache-flush",
        "certificate-renewal",
        "clean-disk",
        "collect-diagnostics",
        "disable-feature",
        "drain-node",
        "failover",
        "open-circuit-breaker",
        "rate-limit",
        "read-only-mode",
        "resize-pool",
        "restart",
        "rollback",
        "scale-out",
    }
    assert len(IDS) == len(set(IDS))


def test_the_schema_beside_the_playbooks_is_the_one_they_are_read_by() -> None:
    stored = json.loads((FOLDER / "playbook.schema.json").read_text(encoding="utf-8"))
    assert stored == schema()


def values(playbook: Playbook) -> dict[str, Scalar]:
    smallest = {"name": str, "integer": int, "number": float}
    return {
        one.name: "cart" if one.type in ("name", "names") else smallest[one.type](one.minimum or 0)
        for one in playbook.parameters
    }


@each
def test_it_can_be_filled_and_leaves_no_hole(playbook: Playbook) -> None:
    plan = fill(playbook, values(playbook), "inc-1", "cart", ("E1",), NOW, 900.0)
    assert "$" not in plan.model_dump_json()
    assert plan.title_zh
    assert plan.blast_radius_zh
    for step in (*plan.steps, *plan.rollback):
        assert arguments(step).model_dump()


@each
def test_what_it_says_in_chinese_is_chinese(playbook: Playbook) -> None:
    texts: list[Text] = [playbook.title, playbook.expected_effect, playbook.check]
    texts += [playbook.blast_radius.notice, *(step.title for step in playbook.steps)]
    for text in texts:
        assert re.search(r"[\u4e00-\u9fff]", text.zh)
        assert not re.search(r"[\u4e00-\u9fff]", text.en)


@each
def test_it_is_verified_locked_and_cools_down(playbook: Playbook) -> None:
    assert playbook.verification.within_s >= playbook.verification.hold_s
    assert "${" in playbook.lock
    assert playbook.cooldown_s > 0


@each
def test_every_number_it_takes_is_bounded(playbook: Playbook) -> None:
    for parameter in playbook.parameters:
        if parameter.type in ("integer", "number"):
            assert parameter.minimum is not None
            assert parameter.maximum is not None
            assert parameter.minimum < parameter.maximum


def test_only_class_a_reads_and_class_a_only_reads() -> None:
    reads = {"get", "look"}
    for playbook in CATALOGUE:
        verbs = {str(step.arguments.get("verb", step.action)) for step in playbook.steps}
        assert (playbook.risk == "A") == (verbs <= reads), playbook.id


@each
def test_what_sets_the_same_flag_or_volume_takes_the_same_lock(playbook: Playbook) -> None:
    of_action = {"feature_flag": "flag/"}
    of_program = {"disk-cleanup": "disk/", "extend-volume": "disk/"}
    for step in playbook.steps:
        argv = step.arguments.get("argv")
        program = str(argv[0]) if isinstance(argv, list) else ""
        lock = of_action.get(step.action, of_program.get(program, ""))
        assert playbook.lock.startswith(lock)


@each
def test_a_playbook_is_not_judged_without_what_it_is_for(playbook: Playbook) -> None:
    """A pause makes a queue grow; what works a queue off is judged by the queue."""
    depths = {"depth", "backlog", "lag", "length"}
    for case in playbook.applies:
        assert "queue_backlog" not in case.faults or not depths & {*playbook.verification.ignore}


@each
def test_two_acting_steps_are_undone_where_the_second_fails(playbook: Playbook) -> None:
    acting = [one for one in playbook.steps if one.arguments.get("verb") not in ("get", "look")]
    assert len(acting) < 2 or playbook.on_failure == "roll_back"


@pytest.mark.parametrize("effect", ["mends", "buys_time"])
@pytest.mark.parametrize("kind", get_args(FaultKind))
def test_each_kind_of_fault_has_a_playbook_or_the_reason_why_it_has_none(
    kind: FaultKind, effect: PlaybookEffect
) -> None:
    found = playbooks_for(CATALOGUE, kind, effect)
    assert bool(found) != ((kind, effect) in NO_PLAYBOOK), found


def test_the_catalogue_has_at_least_35() -> None:
    assert len(CATALOGUE) >= 35
