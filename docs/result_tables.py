"""The tables that one sheet of columns cannot hold, and every table by its name."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from docs.sheets import (
    SHEETS,
    Column,
    Figures,
    Row,
    cells,
    head,
    peers,
    result,
    sheet,
    shown,
    table,
)

SYSTEMS = ("ob", "tt", "ps", "oc", "bi", "ae", "ss")

WEEK = (
    Column("surfaced", "surfaced_per_week", 0),
    Column("ARI", "ari"),
    Column("AP", "ap"),
)
"""What is said of a week of alerts in one cell."""


def incidents() -> str:
    """How often the right component is first and among three, per system; then the peers."""
    run = result("incidents")
    summary = run["summary"]
    names = (*SYSTEMS, "mean")
    methods = [("**ours, rules**", "measured", summary)]
    methods += [(peer["method"], peer["source"], peer["figures"]) for peer in peers("incidents")]
    rows = [
        (method, *(_pair(figures, name) for name in names), source)
        for method, source, figures in methods
    ]
    seconds = (shown(summary[f"brief_seconds.{part}"]) for part in ("p50", "p95"))
    return (
        f"{table((head(run), *names, 'source'), rows)}\n\n"
        f"Ours, mean over systems: Avg@5 {shown(summary['mean.avg5'])}, MRR "
        f"{shown(summary['mean.mrr'])}. Fault kind right where the component is: "
        f"{shown(summary['kind_accuracy'])}. Abstained: {shown(100 * summary['abstained'], 1)} % "
        f"of the cases. Seconds to the published brief, p50 / p95: {' / '.join(seconds)}."
    )


def _pair(figures: Figures, system: str) -> str:
    first, third = (figures.get(f"{system}.{key}") for key in ("ac1", "ac3"))
    return "–" if first is None else f"{shown(first)} / {shown(third)}"


def detection() -> str:
    """What the watch saw of replayed metrics, and three sigma beside it."""
    run = result("detection")
    rows = []
    for name, found in run["notes"]["detection"].items():
        delays = [one for one in found["by_incident"].values() if one is not None]
        count, quiet = len(found["by_incident"]), found["quiet_hours"]
        rows.append(
            (
                name if "three sigma" in name else f"{name}, **watch**",
                str(count or "–"),
                shown(len(delays) / count if count else None),
                shown(median(delays) if delays else None, 0),
                shown(quiet if quiet else None, 1),
                shown(found["false_alarms"] / quiet if quiet else None),
            )
        )
    heads = (
        *(head(run), "incidents", "recall in 5 min", "median delay s"),
        *("quiet hours", "false alarms a quiet hour"),
    )
    return table(heads, rows)


def alerts() -> str:
    """Three labelled weeks, two security storms, six composed streams; all peers of one run."""
    run = result("alerts")
    weeks = [case for case in run["cases"] if "surfaced_per_week" in case]
    storms = [case for case in run["cases"] if "phase_v" in case]
    composed = [case for case in run["cases"] if "ari" in case and case not in weeks]
    means = (
        f"{method} {shown(fmean(case['ari'] for case in mine))}"
        for method, mine in _by_method(composed).items()
    )
    return "\n\n".join(
        [
            _weeks(head(run), weeks),
            _storms(storms),
            f"Composed anomaly events, mean ARI: {', '.join(means)}.",
            _field(run),
        ]
    )


def _field(run: Mapping[str, Any]) -> str:
    """Subjects read rightly, and what of unrelated alerts each method merges."""
    summary = run["summary"]
    mixed = (
        f"{case['id'].partition('/')[2]} {shown(case['merged_wrongly_pct'], 1)}"
        for case in run["cases"]
        if "merged_wrongly_pct" in case
    )
    return (
        f"Whom an alert is about, doubtful ones apart: right {shown(summary['subjects.right'], 3)} "
        f"of `--data`, {shown(summary['subjects.rules'], 3)} of our own table. "
        f"Alerts of unrelated subjects merged wrongly, %: {', '.join(mixed)}."
    )


Cases = Sequence[Mapping[str, Any]]


def _by_method(cases: Cases) -> Mapping[str, Cases]:
    names = dict.fromkeys(case["method"] for case in cases)
    return {name: [case for case in cases if case["method"] == name] for name in names}


def _weeks(first: str, cases: Cases) -> str:
    streams = sorted({case["stream"] for case in cases}, key=lambda name: (len(name), name))
    said = " / ".join(column.title for column in WEEK)
    heads = (
        first,
        *(f"{stream.replace('_', ' ')}: {said}" for stream in streams),
        *("merged %, at most", "recall, at least", "delay s, at most", "never sent, at most"),
    )
    rows = [
        (
            _bold(method),
            *(
                " / ".join(cells(case, WEEK))
                for s in streams
                for case in mine
                if case["stream"] == s
            ),
            shown(max(case["merged_pct"] for case in mine), 1),
            shown(min(case["incident_recall"] for case in mine)),
            shown(max(case["delay_mean"] for case in mine), 0),
            shown(max(case["never_sent"] for case in mine), 0),
        )
        for method, mine in _by_method(cases).items()
    ]
    return table(heads, rows)


def _storms(cases: Cases) -> str:
    streams = tuple(dict.fromkeys(case["stream"] for case in cases))
    heads = ("security storms", *(f"{name}: V by phase / by event / groups" for name in streams))
    rows = [
        (
            _bold(method),
            *(
                f"{shown(case['phase_v'], 3)} / {shown(case['event_v'], 3)} / {case['clusters']}"
                for case in mine
            ),
        )
        for method, mine in _by_method(cases).items()
    ]
    return table(heads, rows)


def _bold(method: str) -> str:
    return f"**{method}**" if method.startswith("ours") else method


def logs() -> str:
    """Means over the annotated systems, from the message and from the raw line."""
    run = result("logs")
    keys = ("ga", "fga", "pa", "fta")
    rows: list[Row] = []
    for source, given in (("content", "message given"), ("raw", "raw line")):
        cases = [case for case in run["cases"] if case["source"] == source]
        for method in dict.fromkeys(case["method"] for case in cases):
            mine = [case for case in cases if case["method"] == method]
            means = (shown(fmean(case[key] for case in mine), 3) for key in keys)
            rows.append((f"{_bold(method)}, {given}", *means, "measured"))
    for peer in peers("logs"):
        printed = (shown(peer["figures"].get(key), 3) for key in keys)
        rows.append((peer["method"], *printed, peer["source"]))
    halves = (
        f"{name.removeprefix('causes.right.')} {shown(value)}"
        for name, value in run["more"].items()
        if name.startswith("causes.right.")
    )
    return (
        f"{table((head(run), 'GA', 'FGA', 'PA', 'FTA', 'source'), rows)}\n\n"
        "Incidents that only logs tell, of ours, component and kind right first: "
        f"{shown(run['summary']['causes.right'])} ({', '.join(halves)})."
    )


def recovery() -> str:
    """Simulated days from their alerts to a verified end."""
    run = result("recovery")
    found = run["summary"] | run["more"]
    rows = [
        ("right playbook, of located cases", shown(found["right_playbook"])),
        ("located", shown(found["located"])),
        ("wrong plans executed, healthy days included", shown(found["wrong_actions"], 0)),
        ("recovered within 10 min", shown(found["recovered_within_10_min"])),
        (
            "minutes to recover, p50 / p90",
            f"{shown(found['minutes_to_recover.p50'], 1)} / "
            f"{shown(found['minutes_to_recover.p90'], 1)}",
        ),
        ("abstained where nothing is wrong", shown(found["abstained_rightly"])),
        ("harm seen and rolled back", shown(found["rolled_back_rightly"])),
        ("cures rolled back", shown(found["rolled_back_wrongly"], 0)),
        (
            "attacks refused with no step run",
            f"{found['refused_attacks']:.0f} of {found['attacks']:.0f}",
        ),
    ]
    return table((head(run), "measured"), rows)


def knowledge() -> str:
    """Search by words, by meaning and by both, over all questions and over the held-out ones."""
    run = result("knowledge")
    found = run["summary"] | run["more"]
    ways = {"lexical": "words", "dense": "meaning", "fused": "both, by reciprocal rank"}
    rows = [
        (
            title,
            questions,
            *(shown(found.get(f"{part}{way}.{key}"), 3) for key in ("recall1", "recall5", "mrr")),
        )
        for way, title in ways.items()
        for part, questions in (("", "all"), ("held_out.", "held out"))
    ]
    return (
        f"{table((head(run), 'questions', 'Recall@1', 'Recall@5', 'MRR'), rows)}\n\n"
        f"Queries of the field, right first by words: {shown(found['field.recall1'], 3)}. "
        "Says rightly that nothing fits (both, all questions): precision "
        f"{shown(found['no_answer_precision'])}, recall {shown(found['no_answer_recall'])}."
    )


def _sheets() -> Mapping[str, Callable[[], str]]:
    def of(name: str) -> Callable[[], str]:
        return lambda: sheet(name)

    return {name: of(name) for name in SHEETS}


TABLES: Mapping[str, Callable[[], str]] = {
    **_sheets(),
    "incidents": incidents,
    "detection": detection,
    "alerts": alerts,
    "logs": logs,
    "recovery": recovery,
    "knowledge": knowledge,
}
"""Each table by the name of its markers in the page."""
