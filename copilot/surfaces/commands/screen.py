"""What the terminal shows: briefs, plans and the steps of a run, for a tired person."""

import re
from collections.abc import Sequence

from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel
from rich.text import Text
from rich.tree import Tree

from copilot.case.reporting import reason_of
from copilot.surfaces.listing import ListedIncident
from copilot.types.incident import (
    Event,
    Incident,
    PlanTerms,
    certainty_of,
    clock_lines,
    percent,
)
from copilot.types.time_format import clock_time, date_time
from prompts import Language, word
from tools.log_retriever import sanitize
from tools.topology_walker import WalkNode
from tools.types import Plan, PlanStep

SYMBOL = {
    "approved": "✔",
    "rejected": "✘",
    "expired": "✘",
    "failed": "✘",
    "verified": "✔",
    "abstained": "–",
}

MARKED = {"symptom": "bold", "cause": "bold red", "suspect": "yellow", "between": ""}


def brief(console: Console, incident: Incident, language: Language) -> None:
    """The brief, or that there is none yet; no link in it is made clickable."""
    text = incident.brief.get(language) or f"{incident.title}: no brief yet ({incident.status})"
    console.print(Markdown(text, hyperlinks=False))


def answer(console: Console, incident: Incident, language: Language) -> None:
    """The brief with no more evidence than its answer cites: what decides stays on the screen."""
    above, mark, below = incident.brief.get(language, "").partition("\n## ")
    cited = set(re.findall(r"\[(E\d+)\]", above))
    head, *items = re.split(r"(?m)^(?=- \*\*E\d+\*\*)", below)
    kept = [one.partition("\n\n")[0] for one in items if one[4:].partition("**")[0] in cited]
    console.print(Markdown(above + mark + head + "\n".join(kept), hyperlinks=False))


def walk(console: Console, incident: Incident, language: Language = "en") -> None:
    """The walk as a tree: the symptom at the root, the cause marked, edges with their evidence."""
    if incident.walk is None or not incident.walk.children:
        return
    tree = Tree(_walked(incident.walk, incident, language), guide_style="dim")
    _grow(tree, incident.walk, incident, language)
    console.print(tree)
    console.print()


def _grow(tree: Tree, node: WalkNode, incident: Incident, language: Language) -> None:
    for child in node.children:
        _grow(tree.add(_walked(child, incident, language)), child, incident, language)


def _walked(node: WalkNode, incident: Incident, language: Language) -> Text:
    line = Text()
    if node.edge_evidence:
        line.append(f"[{' '.join(node.edge_evidence)}] ", style="dim")
    line.append(node.component, style=MARKED[node.mark])
    if node.mark in ("cause", "suspect"):
        sure = percent(incident.ranking, node.probability)
        if node.mark == "cause":
            named = word("certainty", certainty_of(incident, incident.ranking), language)
            sure = f"{named} {sure}".rstrip()
        said = ", ".join(filter(None, (word("mark", node.mark, language), sure)))
        line.append(f"  ◀ {said}", style=MARKED[node.mark])
    if node.evidence:
        line.append(f"  {' '.join(node.evidence)}", style="dim")
    return line


def report(console: Console, incident: Incident, language: Language) -> None:
    """The report of an incident that ended."""
    text = incident.report.get(language) or f"{incident.title}: no report yet ({incident.status})"
    console.print(Markdown(text, hyperlinks=False))


DRY_RUN: dict[Language, str] = {
    "en": "DRY RUN: nothing is really touched",
    "zh": "演练:不会触及任何真实系统",
}


def plan(
    console: Console, proposed: Plan, language: Language, terms: PlanTerms | None = None
) -> None:
    """Everything an approver decides on, rendered by code from the plan itself.

    Without `terms` it is not known who would run it, and nothing is said of that.
    """
    body = Text()
    chinese = language == "zh"
    body.append((proposed.title_zh if chinese else proposed.title) + "\n", style="bold")
    if terms is not None and terms.dry_run:
        body.append(DRY_RUN[language] + "\n", style="bold yellow")
    effect = proposed.expected_effect_zh if chinese else proposed.expected_effect
    radius = proposed.blast_radius_zh if chinese else proposed.blast_radius
    for label, value in (
        ("风险" if chinese else "risk", word("risk", proposed.risk, language)),
        *_approvals(terms, language),
        ("目标" if chinese else "target", proposed.component),
        ("预期" if chinese else "expected", effect),
        ("波及" if chinese else "touches", radius),
        ("证据" if chinese else "evidence", " ".join(proposed.evidence)),
        *_another(proposed, language),
        ("有效至" if chinese else "valid until", date_time(proposed.expires_at)),
        ("摘要" if chinese else "digest", proposed.digest),
    ):
        body.append(f"{label:>12}  ", style="dim")
        body.append(f"{value or '–'}\n")
    only_shown = terms.only_shown if terms is not None and not terms.dry_run else ()
    _steps(body, "步骤" if chinese else "steps", proposed.steps, language, only_shown)
    _steps(body, "回退" if chinese else "roll back", proposed.rollback, language)
    console.print(Panel(body, title=Text(proposed.id), title_align="left", padding=(0, 1)))


def _another(proposed: Plan, language: Language) -> list[tuple[str, str]]:
    """The other way, why it is not the first, and how it is taken."""
    way = proposed.another
    if way is None:
        return []
    title, why = getattr(way.title, language), getattr(way.why, language)
    take = f"copilot edit {proposed.incident_id} --playbook {way.playbook_id}"
    if language == "zh":
        return [("另一做法", f"{title}（{why}）"), ("改用", take)]
    return [("another way", f"{title} ({why})"), ("to take it", take)]


def _approvals(terms: PlanTerms | None, language: Language) -> list[tuple[str, str]]:
    """How many have agreed, where it takes more than one."""
    if terms is None or terms.approvals.needed < 2:
        return []
    given, needed = terms.approvals.given, terms.approvals.needed
    if language == "zh":
        return [("批准", f"{given}/{needed},须由不同的人批准")]
    return [("approvals", f"{given} of {needed} approvals, by different people")]


def _steps(
    body: Text,
    label: str,
    steps: tuple[PlanStep, ...],
    language: Language,
    only_shown: Sequence[int] = (),
) -> None:
    if not steps:
        return
    body.append(f"{label}\n", style="bold")
    for step in steps:
        title = (step.title_zh if language == "zh" else "") or step.title
        dry = ("(演练)" if language == "zh" else " (dry run)") if step.index in only_shown else ""
        body.append(f"  {step.index + 1}. {title}{dry}\n")
        shown = ", ".join(f"{key}={value}" for key, value in step.arguments.items())
        body.append(f"     {step.action}: {sanitize(shown, 300)}\n", style="dim")
        if step.stands_for:
            body.append(f"     = {sanitize(step.stands_for, 300)}\n", style="dim")


def event(console: Console, one: Event, language: Language = "en") -> None:
    """One line of the journal as it happens."""
    line = Text()
    line.append(f"{clock_time(one.at)} ", style="dim")
    kind = word("event", one.kind, language)
    line.append(f"{SYMBOL.get(one.kind, '•')} {kind:<10}", style="bold")
    line.append(f"{one.by}: " if one.by != "copilot" else "")
    line.append(sanitize(reason_of(one, language), 300))
    console.print(line)


def rows(listed: Sequence[Incident]) -> tuple[ListedIncident, ...]:
    """What a list shows of incidents."""
    return tuple(
        ListedIncident(
            one.id,
            one.status,
            one.opened_at,
            one.severity,
            one.ranking.located.component if one.ranking.located else "",
            one.title,
        )
        for one in listed
    )


def clocks(console: Console, incident: Incident, language: Language = "en") -> None:
    """Print the three clocks of 1-5-10 in one line; nothing before the onset is known."""
    if incident.clocks.onset is None:
        return
    basis = word("measured_from", incident.clocks.measured_from, language)
    if not incident.clocks.measurable:
        said = (
            f"1-5-10:无法衡量({basis})" if language == "zh" else f"1-5-10: not measurable ({basis})"
        )
        console.print(Text(said, style="yellow"))
        return
    styles = {None: "yellow", True: "green", False: "red"}
    limit = "限" if language == "zh" else "limit"
    parts = (
        Text.assemble(
            (f"{word('clock', one.name, language)} {one.after}", styles[one.met]),
            (f" ({limit} {one.limit})", "dim"),
        )
        for one in clock_lines(incident.clocks)
    )
    console.print(Text(" · ").join(parts).append(f", {basis}", style="dim"))
