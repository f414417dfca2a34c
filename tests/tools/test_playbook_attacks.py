"""What must be refused before anything is touched; the cases are those of `evals run recovery`."""

import pytest

from evals.recovery.attack import Attack, Recorder, failures, withstood
from evals.recovery.forged import approval, run, scale_out
from evals.recovery.hostile import HOSTILE, by_id, filled, good_values
from evals.recovery.suite import attacks
from tools.playbook_executor import ParameterError, StepError

ATTACKS = {attack.name: attack for attack in attacks()}


def test_every_attack_is_refused_with_no_step_run() -> None:
    assert failures(ATTACKS.values()) == {}


def test_no_attack_hides_behind_the_name_of_another() -> None:
    assert len(ATTACKS) == len(attacks()) >= 60


@pytest.mark.parametrize("playbook_id", sorted(by_id()))
def test_the_values_the_attacks_start_from_are_good(playbook_id: str) -> None:
    assert filled(playbook_id, good_values(playbook_id)).steps


def test_without_an_attack_the_step_runs() -> None:
    runner = Recorder()
    run()(runner)
    assert len(runner.ran) == 1


def test_what_gets_through_or_is_refused_for_another_reason_counts_as_a_failure() -> None:
    allowed = run(scale_out(), approval(scale_out()))
    told = failures([Attack("a plan as approved", allowed, StepError)])
    assert told == {"a plan as approved": "not refused by StepError"}
    late = Attack("late", run(now=scale_out().expires_at + 1), StepError)
    assert "ExpiredError instead of StepError" in withstood(late)


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_text_never_reaches_a_filled_step(attack: str) -> None:
    texts = {**good_values("rate-limit"), "service": HOSTILE[attack]}
    with pytest.raises(ParameterError) as refused:
        filled("rate-limit", texts, "cart")
    assert "\n" not in str(refused.value)
    assert "\x1b" not in str(refused.value)
