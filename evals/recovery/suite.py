"""Recovery: simulated incidents from their alerts to a verified end, each arm, and the attacks."""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from rich.progress import Progress, TaskID

import copilot
from evals.recovery.answering import AnsweringModel
from evals.recovery.attack import Attack, failures
from evals.recovery.cases import RecoveryCase, cases
from evals.recovery.contested import contested_attacks
from evals.recovery.episode import RecoveryEpisode, live
from evals.recovery.forged import forged_attacks
from evals.recovery.hostile import parameter_attacks
from evals.recovery.score import RecoveryScore, minutes_to_recover, row, score, wrong_actions
from evals.report import EvalArm, ModelOptions, Result, Table, number
from tools.types import PlaybookOutcome

ARMS: tuple[EvalArm, ...] = ("rules", "ml", "llm")


def run(options: ModelOptions, progress: Progress) -> Result:
    """Play every case with each arm; the summary is that of the asked one, rules by default."""
    who = AnsweringModel(options.model_url, options.model)
    started = time.perf_counter()
    asked: tuple[EvalArm, ...] = ARMS if options.best_arm else (options.arm,)
    days = cases(options.seed, options.limit)
    task = progress.add_task("recovery", total=len(days) * len(asked))
    lived = _live_all(days, asked, who, progress, task)
    attempted = attacks()
    withstood_not = failures(attempted)
    scores = {arm: score(ended) for arm, ended in lived.items()}
    return Result(
        suite="recovery",
        arm=options.arm,
        version=copilot.__version__,
        data="simulated",
        seconds=time.perf_counter() - started,
        cases=tuple(row(one, arm) for arm, ended in lived.items() for one in ended),
        summary={
            **_summary(scores[options.arm]),
            "refused_attacks": float(len(attempted) - len(withstood_not)),
            "attacks": float(len(attempted)),
        },
        more=_more(scores[options.arm]),
        tables=(
            _arms_table(scores, who),
            _faults_table(lived[options.arm]),
            _attacks_table(len(attempted), withstood_not),
        ),
        notes={"seed": options.seed, **({"llm": who.label} if "llm" in asked else {})},
    )


def attacks() -> tuple[Attack, ...]:
    """Every attack; each must be refused with no step run."""
    return (*parameter_attacks(), *forged_attacks(), *contested_attacks())


def _live_all(
    days: Sequence[RecoveryCase],
    arms: Sequence[EvalArm],
    who: AnsweringModel,
    progress: Progress,
    task: TaskID,
) -> dict[EvalArm, list[RecoveryEpisode]]:
    """Play all days with each arm, as many at a time as there are processors.

    The days of `ml` go in order, since each knows how the earlier ended; no other arm reads that.
    """
    lived: dict[EvalArm, dict[int, RecoveryEpisode]] = {arm: {} for arm in arms}
    past: tuple[PlaybookOutcome, ...] = ()
    # Spawned, because the progress bar is a thread, and a fork would copy its locks.
    workers = max(len(arms), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:

        def begin(arm: EvalArm, number: int) -> Future[RecoveryEpisode]:
            return pool.submit(live, days[number], arm, past, _asked(who, arm))

        running = {
            begin(arm, number): (arm, number)
            for number in range(len(days))
            for arm in arms
            if arm != "ml" or number == 0
        }
        while running:
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                arm, number = running.pop(ended)
                lived[arm][number] = ended.result()
                progress.advance(task)
                if arm != "ml":
                    continue
                if ended.result().case.sort != "mishandled":  # not the playbook's doing
                    past = ended.result().outcomes
                if number + 1 < len(days):
                    running[begin(arm, number + 1)] = arm, number + 1
    return {arm: [found[number] for number in sorted(found)] for arm, found in lived.items()}


def _asked(who: AnsweringModel, arm: EvalArm) -> AnsweringModel | None:
    return who if arm == "llm" else None


def _summary(one: RecoveryScore) -> dict[str, float]:
    return {
        "right_playbook": one.right_playbook,
        "wrong_actions": float(one.wrong_actions),
        "recovered": one.recovered,
        "minutes_to_recover.p50": one.minutes[0],
        "minutes_to_recover.p90": one.minutes[1],
    }


def _more(one: RecoveryScore) -> dict[str, float]:
    return {
        "recovered_within_10_min": one.recovered_in_time,
        "located": one.located,
        "abstained_rightly": one.abstained_rightly,
        "rolled_back_rightly": one.rolled_back_rightly,
        "rolled_back_wrongly": float(one.rolled_back_wrongly),
    }


def _arms_table(scores: dict[EvalArm, RecoveryScore], who: AnsweringModel) -> Table:
    labels: dict[str, Callable[[RecoveryScore], str]] = {
        "right playbook, of located": lambda one: number(one.right_playbook),
        "located": lambda one: number(one.located),
        "wrong plans executed": lambda one: str(one.wrong_actions),
        "recovered": lambda one: number(one.recovered),
        "recovered within 10 min": lambda one: number(one.recovered_in_time),
        "minutes to recover, p50": lambda one: number(one.minutes[0], 1),
        "minutes to recover, p90": lambda one: number(one.minutes[1], 1),
        "abstained where nothing is wrong": lambda one: number(one.abstained_rightly),
        "harm rolled back": lambda one: number(one.rolled_back_rightly),
        "cures rolled back": lambda one: str(one.rolled_back_wrongly),
    }
    return Table(
        title="Recovery on simulated incidents (measured; minutes are the simulated clock's)",
        columns=("", *(who.label if arm == "llm" else arm for arm in scores)),
        rows=tuple(
            (label, *(shown(one) for one in scores.values())) for label, shown in labels.items()
        ),
    )


def _faults_table(lived: Sequence[RecoveryEpisode]) -> Table:
    kinds = dict.fromkeys(one.case.kind or one.case.sort for one in lived)
    rows = []
    for kind in kinds:
        ended = [one for one in lived if (one.case.kind or one.case.sort) == kind]
        ended = [one for one in ended if one.case.sort != "mishandled"]
        passed = [m for one in ended if (m := minutes_to_recover(one)) is not None]
        rows.append(
            (
                kind,
                str(len(ended)),
                str(sum(bool(one.approved) for one in ended)),
                str(sum(wrong_actions(one) for one in ended)),
                str(len(passed)),
                number(max(passed, default=float("nan")), 1),
            )
        )
    return Table(
        title="By what was wrong",
        columns=("", "cases", "plan approved", "wrong plans", "recovered", "slowest, min"),
        rows=tuple(rows),
    )


def _attacks_table(attempted: int, not_refused: dict[str, str]) -> Table:
    rows = [("all", f"{attempted - len(not_refused)} of {attempted}")]
    rows += [(name, problem) for name, problem in not_refused.items()]
    return Table(title="Attacks refused with no step run", columns=("", ""), rows=tuple(rows))
