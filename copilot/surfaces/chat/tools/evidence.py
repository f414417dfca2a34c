"""evidence, cluster: what was measured of this incident, by number, service or kind."""

from pydantic import Field

from copilot.case.briefing import evidence_line
from copilot.surfaces.chat.scope import ToolContext, concerns
from copilot.surfaces.chat.tool_result import Statement, ToolResult, capped, noted, own
from copilot.surfaces.chat.tools.tool import MOST_ROWS, ServiceArguments, Tool, ToolArguments
from tools.types import Evidence, EvidenceKind


class EvidenceArguments(ToolArguments):
    """Which evidence; what is left empty does not narrow it."""

    ids: tuple[str, ...] = Field(default=(), max_length=20, description="Numbers, as E7.")
    service: str = Field(default="", max_length=200, description="Only about this service.")
    kind: EvidenceKind | None = Field(default=None, description="Only of this kind.")


def evidence(given: EvidenceArguments, scope: ToolContext) -> ToolResult:
    """Evidence of the incident, strongest first."""
    incident = scope.incident
    if incident is None:
        return ToolResult(missing=("incident: none is stored",))
    known = {item.id: item for item in incident.evidence}
    lost = tuple(
        f"{number}: there is no such evidence" for number in given.ids if number not in known
    )
    found = [
        item
        for item in incident.evidence
        if (not given.ids or item.id in given.ids)
        and (not given.service or concerns(item.subject, given.service))
        and (given.kind is None or item.kind == given.kind)
    ]
    if given.ids:
        return ToolResult(rows=tuple(map(_whole, found)), missing=lost)
    rows, more = capped([own(item) for item in found], MOST_ROWS)
    about = given.service or given.kind or incident.id
    fact = noted(
        about,
        "evidence",
        f"{len(found)} items of evidence about {about}",
        incident.updated_at,
        source="evidence",
        query=f"incident={incident.id} about={about}",
        figures={"count": float(len(found))},
    )
    lead = Statement(
        f"{len(found)} items of evidence about {about}.",
        f"关于 {about} 的证据共 {len(found)} 条。",
        (fact,),
    )
    return ToolResult(lead=(lead,), rows=rows, more=more, missing=lost)


def _whole(item: Evidence) -> Statement:
    """One item with all that lets a person look it up again."""
    en, zh = (
        f"{line.kind}: {line.statement}"
        + (f" “{line.excerpt}”" if line.excerpt else "")
        + f" (`{line.source} {line.query}`, {line.window})"
        for line in (evidence_line(item, "en"), evidence_line(item, "zh"))
    )
    return Statement(en, zh, (item,), states=True)


def cluster(given: ServiceArguments, scope: ToolContext) -> ToolResult:
    """What is wrong with the objects of the cluster now."""
    missing: list[str] = []
    findings = [
        one
        for one in scope.sources.inspect(scope.recent(), missing)
        if not given.service or given.service in one.subject
    ]
    if missing and not findings:
        return ToolResult(missing=tuple(missing))
    if not findings:
        fact = noted(
            given.service or "cluster",
            "inspected",
            "the inspector found nothing wrong with the cluster's objects",
            scope.now,
            source="cluster",
            query="inspect",
        )
        nothing = Statement(
            "The cluster's objects were inspected and nothing is wrong with them.",
            "已检查集群对象,未发现异常。",
            (fact,),
        )
        return ToolResult(lead=(nothing,))
    rows, more = capped([own(one) for one in findings], MOST_ROWS)
    return ToolResult(rows=rows, more=more, missing=tuple(missing))


TOOLS = (
    Tool(
        "evidence",
        "Evidence of the incident by number, service or kind.",
        EvidenceArguments,
        evidence,
    ),
    Tool("cluster", "Findings on Kubernetes objects, looked at now.", ServiceArguments, cluster),
)
