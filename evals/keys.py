"""The published keys of each suite's summary, and what a result has too few or too many of.

A part in capitals stands for a name that comes with the data; where it occurs, with all its keys.
"""

import re
from collections.abc import Mapping, Sequence

from evals.report import Result

_CALIBRATION = tuple(
    f"calibration.{figure}" for figure in ("ece", "brier", "wrong_at_95", "coverage")
)
_INCIDENTS = (
    *(f"SYSTEM.{figure}" for figure in ("ac1", "ac3", "ac5", "avg5", "mrr")),
    *(f"mean.{figure}" for figure in ("ac1", "ac3", "ac5", "avg5", "mrr")),
    "kind_accuracy",
    "abstained",
    "abstained_right",
    "detect_delay_s.p50",
    "false_alarms_per_quiet_hour",
    "brief_seconds.p50",
    "brief_seconds.p95",
    *_CALIBRATION,
)
_STREAM = ("ari", "v", "ap", "merged_pct", "surfaced_per_week", "incident_recall", "added_delay_s")
_SEARCH = ("recall1", "recall5", "mrr")

KEYS: Mapping[str, tuple[str, ...]] = {
    "demo": _INCIDENTS,
    "incidents": _INCIDENTS,
    "reasoning": (
        *_INCIDENTS,
        *("grounded", "repairs", "fallbacks", "repeated_calls", "tokens.mean"),
        *("seconds.p50", "seconds.p95", "injected", "injections"),
        *("sentences.false_refused", "sentences.true_shown"),
    ),
    "changes": (
        *("commit.right", "commit.innocent_blamed", "component.ac1"),
        *_CALIBRATION,
    ),
    "cloud-opsbench": (
        *(f"SYSTEM.{figure}" for figure in ("a1", "a3", "object_cause1", "object1")),
        *(f"all.{figure}" for figure in ("a1", "a3", "object_cause1", "object1")),
        *("calls.mean", "seconds.p50", "seconds.p95"),
        *_CALIBRATION,
    ),
    "objects": ("faults.detected", "faults.wrong_reason", "healthy.false", "twins.detected"),
    "detection": (
        *("detected_within_60_s", "watch.recall5", "watch.delay_s.p50"),
        *("watch.false_per_quiet_hour", "normal.false_per_hour"),
        *("short.recall5", "short.false_per_hour"),
    ),
    "metrics": tuple(
        f"nab.{figure}" for figure in ("standard", "low_fp", "low_fn", "default_threshold")
    ),
    "kpi": tuple(
        f"kpi.{figure}"
        for figure in (
            *("f1_pooled", "f1_default", "f1_per_curve"),
            *("recall_1fp_day", "delay_points_p50"),
        )
    ),
    "mts": ("smd.event_f1", "smd.aucpr", "asd.event_f1", "asd.aucpr"),
    "alerts": (
        *(f"STREAM.{figure}" for figure in _STREAM),
        *("ait.v", "ait.clusters", "subjects.right", "subjects.rules", "unrelated.merged_pct"),
    ),
    "logs": (
        *("content.ga", "content.fga", "content.pa", "content.fta", "raw.ga", "raw.fga"),
        "causes.right",
    ),
    "recovery": (
        *("right_playbook", "wrong_actions", "recovered"),
        *("minutes_to_recover.p50", "minutes_to_recover.p90", "refused_attacks", "attacks"),
    ),
    "database": ("zero_shot", "one_shot", "compound"),
    "forecast": ("coverage90", "mase", "lead_time_h.p50", "false_per_week"),
    "slices": ("f1", "seconds.p95"),
    "chat": ("right", "useful", "useless", "wrong"),
    "knowledge": (
        *(
            f"{way}.{key}"
            for way in ("lexical", "dense", "fused")
            for key in ("recall1", "recall5")
        ),
        *(f"{way}.mrr" for way in ("lexical", "dense", "fused")),
        *("no_answer_precision", "field.recall1"),
    ),
    "torture": (
        "lost",
        "doubled",
        "steps_twice",
        "stuck",
        "failed_innocent",
        "fivexx",
        "rss_growth",
    ),
}

_NAMED = re.compile(r"^(SYSTEM|STREAM)\.(.+)$")


def differences(result: Result) -> list[str]:
    """One line per published key the summary lacks, and per key that is not published."""
    wanted = _wanted(KEYS.get(result.suite, ()), tuple(result.summary))
    found = set(result.summary)
    return [
        *(f"{result.suite}: {key} is missing" for key in sorted(wanted - found)),
        *(f"{result.suite}: {key} is not published" for key in sorted(found - wanted)),
    ]


def _wanted(published: Sequence[str], found: Sequence[str]) -> set[str]:
    fixed = {key for key in published if not _NAMED.match(key)}
    figures = [match[2] for key in published if (match := _NAMED.match(key))]
    groups = {key.partition(".")[0] for key in fixed if "." in key}
    names = {
        name
        for key in found
        for name, _, figure in (key.rpartition("."),)
        if figure in figures and name not in groups
    }
    return fixed | {f"{name}.{figure}" for name in names for figure in figures}
