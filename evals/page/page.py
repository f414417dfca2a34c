"""The page: one HTML file with nothing to fetch, safe to open whatever the incidents contain."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from evals.localization.calibration import CalibrationScore
from evals.page import drawing, pictures, view
from evals.page.clocks import clocked
from evals.page.difference import Difference
from evals.page.jobs import NO_MODEL, JobRun, OverviewOptions
from evals.page.outcomes import CaseRow, figure, text
from evals.registry import NO_DATA
from evals.report import EvalArm, Result
from tools.log_retriever.sanitize import strip_controls
from tools.types import FrozenModel

BRIEF = 12_000
"""Characters of one brief; a longer one is cut."""

HEAVIEST = 5_000_000
"""Characters of pictures and briefs together; what comes after is left out, and counted."""

ENOUGH = 10
"""Fewer cases make no curve; their figures are in the table."""

_WAY_OUT = {NO_DATA: "no data (--data DIR)", NO_MODEL: "no model (--model-url URL --model NAME)"}

_BOLD = re.compile(r"\*\*([^*]{1,120})\*\*")
_CODE = re.compile(r"`([^`]{1,300})`")
_HEADING = re.compile(r"^#{1,6} (.*)$")


class Card(FrozenModel):
    """One incident with its picture and brief; the markup is ours."""

    id: str
    suite: str
    system: str
    right: bool
    said: str
    truth: str
    picture: str
    brief: str


class Chart(FrozenModel):
    """A drawn chart and what it shows."""

    svg: str
    caption: str


class PageFacts(FrozenModel):
    """What was asked and where it ran."""

    asked: OverviewOptions
    data: str
    version: str
    made_at: datetime
    machine: str
    command: str
    seconds: float


def render(
    facts: PageFacts,
    runs: Sequence[JobRun],
    differences: Sequence[Difference] | None,
    baseline: str = "",
) -> str:
    """The whole page."""
    drawn = drawing.available()
    with drawing.styled() if drawn else nullcontext():
        return _rendered(facts, runs, differences, baseline, drawn)


def _rendered(
    facts: PageFacts,
    runs: Sequence[JobRun],
    differences: Sequence[Difference] | None,
    baseline: str,
    drawn: bool,
) -> str:
    incidents = clocked(runs)
    rows = view.stage_rows(runs, facts.asked.arms)
    listed, unlisted = view.incident_grid(incidents)
    cards, left_out = _cards(runs, drawn)
    found = view.calibrations(runs)
    timed = view.latencies(runs)
    script = _part("page.js")
    return _environment().from_string(_part("page.html.j2")).render(
        facts=facts,
        runs=runs,
        style=Markup(_part("page.css")),
        script=Markup(script),
        script_hash=_hash(script),
        rows=rows,
        verdict=view.verdict(rows),
        not_run=_not_run(runs),
        broken=[run for run in runs if run.status == "broken"],
        figures=view.figure_rows(runs, facts.asked.arms),
        clocks=view.clock_grid(incidents),
        by_system=view.clock_grids(incidents, "system"),
        by_kind=view.clock_grids(incidents, "kind"),
        listed=listed,
        unlisted=unlisted,
        calibration=view.calibration_grid(found),
        reliability=_reliability(found, drawn),
        latency=view.latency_grid(timed),
        spreads=_spreads(timed, drawn),
        tokens=_tokens(runs),
        cards=cards,
        left_out=left_out,
        differences=None if differences is None else view.difference_grid(differences),
        worse=[one for one in differences or () if one.verdict == "worse"],
        baseline=baseline,
        drawn=drawn,
        markup=Markup,
    )  # fmt: skip


def _part(name: str) -> str:
    return (resources.files("evals.page") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _environment() -> Environment:
    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )


def _clean(value: object) -> object:
    """Text from outside without what could hide or turn it; our own markup as it is."""
    return strip_controls(value) if type(value) is str else value


def _cards(runs: Sequence[JobRun], drawn: bool) -> tuple[list[Card], int]:
    """The incidents to look at, of the first arm that ran each suite, and how many are left out."""
    cards: list[Card] = []
    left_out = weight = 0
    for suite in pictures.SUITES:
        run = next((one for one in runs if one.suite == suite and one.result is not None), None)
        if run is None or run.result is None:
            continue
        rows, more = pictures.selected(run.result)
        left_out += more
        for number, row in enumerate(rows):
            if weight > HEAVIEST:
                left_out += len(rows) - number
                break
            card = _card(run.result, row, f"{suite}-{number}", drawn)
            weight += len(card.picture) + len(card.brief)
            cards.append(card)
    return cards, left_out


def _card(result: Result, row: CaseRow, name: str, drawn: bool) -> Card:
    candidates = row.get("candidates")
    first = candidates[0] if isinstance(candidates, list) and candidates else {}
    said = "nothing"
    if isinstance(first, dict):
        share = figure(first.get("probability"))
        kind = text(first.get("fault_kind")) or "kind unknown"
        said = f"{text(first.get('component'))}, {kind}" + (f", {share:.0%}" if share else "")
    if row.get("abstained"):
        said = f"undecided ({text(row.get('reason'))}); first: {said}"
    briefs = row.get("brief")
    brief = text(briefs.get("en")) if isinstance(briefs, dict) else ""
    return Card(
        id=text(row.get("id")),
        suite=f"{result.suite}, {result.arm}",
        right=(figure(row.get("ac1")) or 0.0) >= 1.0,
        said=said,
        truth=", ".join(filter(None, (text(row.get("root_cause")), text(row.get("fault_type"))))),
        system=text(row.get("system")),
        picture=pictures.picture(result, row, name) if drawn else "",
        brief=str(brief_markup(brief)),
    )


def brief_markup(brief: str) -> Markup:
    """A brief as HTML: headings, items, bold and code of its Markdown; all else is only text."""
    lines = []
    for line in brief[:BRIEF].splitlines():
        shown = str(escape(strip_controls(line).rstrip()))
        kind = "item" if shown.startswith("- ") else "under" if shown.startswith("  ") else "line"
        if heading := _HEADING.match(shown):
            kind, shown = "head", heading[1]
        shown = _CODE.sub(r"<code>\1</code>", _BOLD.sub(r"<strong>\1</strong>", shown))
        if shown.strip():
            lines.append(f'<div class="{kind}">{shown.removeprefix("- ").strip()}</div>')
    if len(brief) > BRIEF:
        lines.append('<div class="line">… cut</div>')
    return Markup("\n".join(lines))


def _reliability(
    found: Sequence[tuple[str, EvalArm, CalibrationScore]], drawn: bool
) -> list[Chart]:
    charts = []
    for suite in dict.fromkeys(suite for suite, _, _ in found):
        arms = [(arm, one) for name, arm, one in found if name == suite and one.count >= ENOUGH]
        if arms and drawn:
            svg = drawing.reliability(arms, f"reliability-{suite}")
            told = "on the dotted line, 0.8 means 8 of 10; a bar that meets it may be chance"
            charts.append(Chart(svg=svg, caption=f"{suite}: {told}"))
    return charts


_TIMED = {
    "alert to brief": (2.0, "seconds from the alert to the brief", "alert to brief"),
    "diagnosis": (2.0, "seconds per diagnosis", "Kubernetes diagnosis"),
    "onset to alarm": (60.0, "seconds from the onset to the alarm", "detection, of those detected"),
    "onset to recovered (simulated clock)": (600.0, "seconds to recovered", "recovery, simulated"),
}


def _spreads(timed: Mapping[tuple[str, EvalArm, str], Sequence[float]], drawn: bool) -> list[Chart]:
    charts: list[Chart] = []
    for suite, name in dict.fromkeys((suite, name) for suite, _, name in timed):
        if name not in _TIMED or not drawn:
            continue
        limit, label, title = _TIMED[name]
        arms = [(arm, some) for (s, arm, n), some in timed.items() if (s, n) == (suite, name)]
        if max(len(some) for _, some in arms) >= ENOUGH:
            svg = drawing.spread(arms, limit, label, f"spread-{suite}-{len(charts)}", title)
            caption = f"{suite}: {title}; dashed: {limit:g} s"
            charts.append(Chart(svg=svg, caption=caption))
    return charts


def _not_run(runs: Sequence[JobRun]) -> list[tuple[str, list[str]]]:
    """What was not run, by reason."""
    found: dict[str, list[str]] = {}
    for run in runs:
        if run.status == "not run":
            reason = _WAY_OUT.get(run.reason, run.reason)
            found.setdefault(reason, []).append(f"{run.suite}, {run.arm}")
    return list(found.items())


def _tokens(runs: Sequence[JobRun]) -> list[tuple[str, str]]:
    """What the model read and wrote, where one was asked."""
    asked = [run for run in runs if run.arm == "llm"]
    rows = []
    for run in asked:
        figures = {**run.result.more, **run.result.summary} if run.result is not None else {}
        mean = figure(figures.get("tokens.mean"))
        said = f"{mean:,.0f} tokens a case" if mean is not None else "tokens not counted"
        rows.append((run.suite, said if run.result is not None else f"{run.status}: {run.reason}"))
    return rows
