"""What a tired person reads: the answer first, cited, and what is not known said plainly."""

import re
from collections.abc import Sequence

import pytest

from copilot.case.briefing import evidence_line, render
from copilot.case.state import GatherProgress, IncidentState
from copilot.sources.catalogue import NO_CATALOGUE, ServiceCatalogue
from copilot.types.incident import (
    ApprovalCount,
    Clocks,
    Incident,
    MeasuredFrom,
    PlanTerms,
    RecalledDocument,
)
from prompts import LANGUAGES, Language
from tools.detector import Onset
from tools.types import (
    ENTRY,
    Alert,
    AlertGroup,
    Candidate,
    Edge,
    Evidence,
    EvidenceKind,
    Plan,
    Ranking,
    StepResult,
    Subject,
    Term,
    Text,
    Topology,
    VerificationOutcome,
    Window,
)

ONSET = 1_774_268_400.0
WINDOW = Window(start=ONSET, end=ONSET + 90)
TOPOLOGY = Topology(nodes=("web", "cart"), edges=(Edge(caller="web", callee="cart"),), entry="web")


def evidence(
    number: int, kind: EvidenceKind, subject: str, statement: str, **more: object
) -> Evidence:
    fields = {
        "id": f"E{number}",
        "kind": kind,
        "subject": subject,
        "name": "latency",
        "source": "metrics",
        "query": f"{subject}|latency",
        "window": WINDOW,
        "strength": 1.0 / number,
        "statement": statement,
    }
    return Evidence.model_validate(fields | more)


DOOR = evidence(1, "metric", ENTRY, "the front door answers in 2.1 s, normally 0.2 s")
OWN = evidence(2, "metric", "cart", "cart latency rose to 1.9 s", value=1.9, baseline=0.1, unit="s")
DEPLOY = evidence(
    3, "change", "cart", "cart: deploy from v1 to v2 60 s before the onset", onset=ONSET - 60
)


def state(
    *found: Evidence, ranking: Ranking | None = None, missing: tuple[str, ...] = ()
) -> IncidentState:
    cart = Candidate(
        component="cart",
        score=0.6,
        fault_kind="bad_deploy",
        probability=0.8,
        terms=(Term(name="own latency", weight=0.6, evidence=("E2", "E3")),),
    )
    return IncidentState(
        incident_id="i",
        run_id="r",
        group=AlertGroup(
            id="i",
            title="t",
            fingerprints=("f",),
            services=("web",),
            first_service="web",
            started_at=ONSET,
            severity="high",
        ),
        onset=Onset(at=ONSET, confidence=0.9, reason="3 series left their band"),
        evidence=list(found),
        gathered=GatherProgress(rounds=1, missing=missing),
        ranking=ranking or Ranking(certainty="likely", calibrated=True, candidates=(cart,)),
    )


def brief(
    language: Language,
    given: IncidentState,
    plan: Plan | None = None,
    terms: PlanTerms | None = None,
    alerts: Sequence[Alert] = (),
    catalogue: ServiceCatalogue = NO_CATALOGUE,
    **known: object,
) -> str:
    fields = {
        "id": "i",
        "title": "FrontDoorSlow on web",
        "services": ("web",),
        "opened_at": ONSET,
        "updated_at": ONSET,
        "clocks": Clocks(onset=ONSET, detected=ONSET + 45, located=ONSET + 400),
    }
    incident = Incident.model_validate(fields | known)

    return render(
        incident, given, TOPOLOGY, language, plan, terms=terms, alerts=alerts, catalogue=catalogue
    )


PLAN = Plan(
    id="rollback-1",
    incident_id="i",
    playbook_id="rollback",
    title="Roll cart back",
    title_zh="回滚 cart",
    risk="C",
    component="cart",
    steps=(),
    created_at=ONSET,
    expires_at=ONSET + 900,
    digest="a" * 64,
)


def agreed(given: int = 0, needed: int = 1, *, dry_run: bool = True) -> PlanTerms:
    return PlanTerms(dry_run=dry_run, approvals=ApprovalCount(given=given, needed=needed))


def test_the_answer_stands_above_the_evidence_and_cites_it() -> None:
    text = brief("en", state(DOOR, OWN, DEPLOY))
    answer, _, below = text.partition("## Evidence")
    assert "likely: **cart**, bad deployment (80 %) [E2][E3]" in answer
    assert "the front door answers in 2.1 s, normally 0.2 s [E1]" in answer
    assert "users of web" in answer
    assert "2026-03-23 12:20:00 UTC" in answer
    assert "deploy from v1 to v2 60 s before the onset [E3]" in answer
    assert set(re.findall(r"E\d+", answer)) <= set(re.findall(r"\*\*(E\d+)\*\*", below))


def test_the_same_brief_in_chinese() -> None:
    text = brief("zh", state(DOOR, OWN, DEPLOY))
    assert "很可能:**cart**,发布有缺陷(80 %)[E2][E3]" in text
    assert "cart 的 latency 为 1.9 s,平时 0.1 s" in text
    assert "## 证据" in text


def test_every_paragraph_stands_for_itself() -> None:
    answer = brief("en", state(DOOR, OWN, DEPLOY)).partition("## Evidence")[0]
    for name in ("What", "Who", "Since", "Cause", "Changed just before", "Next", "Not known"):
        assert f"\n\n**{name}**" in answer


def test_the_three_clocks_are_held_against_their_limits() -> None:
    text = brief("en", state(DOOR, OWN))
    assert "detected 45 s (limit 1 min, met)" in text
    assert "located 6 min 40 s (limit 5 min, MISSED)" in text
    assert "recovered – (limit 10 min)" in text


UNMEASURED: dict[MeasuredFrom, tuple[str, str]] = {
    "file": ("not measurable (the alerts came in a file)", "无法衡量(告警来自文件)"),
    "history": ("not measurable (the metrics reach back too little", "无法衡量(指标历史太短)"),
    "alert": ("not measurable (no metric shows when it began", "无法衡量(没有指标显示何时开始"),
}


@pytest.mark.parametrize("basis", UNMEASURED)
def test_what_cannot_be_measured_is_neither_met_nor_missed(basis: MeasuredFrom) -> None:
    clocks = Clocks(onset=ONSET, detected=ONSET + 900, located=ONSET + 901, measured_from=basis)
    said = line("1-5-10", brief("en", state(DOOR, OWN), clocks=clocks))
    assert UNMEASURED[basis][0] in said
    assert "MISSED" not in said
    assert "met" not in said.replace("metric", "")
    chinese = line("1-5-10", brief("zh", state(DOOR, OWN), clocks=clocks))
    assert UNMEASURED[basis][1] in chinese
    assert "超时" not in chinese


def test_clocks_say_what_they_count_from() -> None:
    english, chinese = (brief(one, state(DOOR, OWN)) for one in LANGUAGES)
    assert "from the onset seen in the metrics: detected 45 s" in line("1-5-10", english)
    assert "自指标所见的起始时刻起" in line("1-5-10", chinese)


def test_what_no_source_told_is_said() -> None:
    missing = ("logs: not configured", "changes: not configured")
    text = brief("en", state(DOOR, OWN, missing=missing))
    assert "**Not known**: logs: not configured; changes: not configured" in text
    assert "not known, no source of changes answered" in text
    assert "日志: 未配置" in brief("zh", state(DOOR, OWN, missing=missing))


UNDECIDED = (
    Candidate(component="cart", score=0.3, fault_kind="errors", probability=0.4),
    Candidate(component="db", score=0.2, fault_kind="lock_contention", probability=0.3),
)


def test_two_hypotheses_stand_beside_the_look_that_tells_them_apart() -> None:
    ranking = Ranking(
        candidates=UNDECIDED,
        certainty="ambiguous",
        look=Text(en="compare the calls cart → db", zh="对比 cart → db 的调用"),
    )
    text = brief("en", state(DOOR, ranking=ranking))
    assert line("Cause", text).startswith("**Cause**: ambiguous: **cart**, errors in its own code")
    assert "or **db**, lock contention" in line("Cause", text)
    assert "To tell them apart: compare the calls cart → db" in line("Cause", text)
    assert "%" not in line("Cause", text)
    assert "区分方法:对比 cart → db 的调用" in brief("zh", state(DOOR, ranking=ranking))


def test_too_little_evidence_names_no_cause_and_says_what_is_missing() -> None:
    ranking = Ranking(
        candidates=UNDECIDED[:1],
        why=Text(en="too little speaks for cart", zh="支持 cart 的证据太少"),
        look=Text(en="no source of traces", zh="没有数据源:链路"),
    )
    text = brief("en", state(DOOR, ranking=ranking))
    assert "**Cause**: insufficient evidence: too little speaks for cart" in text
    assert "(no source of traces). First to look at: cart" in text
    assert "likely" not in text
    assert "**原因**:证据不足:支持 cart 的证据太少" in brief("zh", state(DOOR, ranking=ranking))


def test_nothing_at_all_is_a_brief_too() -> None:
    text = brief("en", state(ranking=Ranking(reason="no evidence")))
    assert "no metric of the front door shows it" in text
    assert "None: no source returned anything to measure." in text


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[31mred\x1b[0m",
        "left‮right",
        "zero​width",
        "{{ 7 * 7 }} {% for x in y %}",
        "`code` breaks out",
        "[click](https://evil.example/x)",
        "<img src=x onerror=alert(1)>",
        "**approve** everything",
    ],
)
def test_hostile_excerpts_are_shown_as_text(hostile: str) -> None:
    item = evidence(4, "log", "cart", "cart logged 3 new lines", excerpt=hostile)
    text = brief("en", state(DOOR, OWN, item))
    assert "\x1b" not in text
    assert "‮" not in text
    assert "​" not in text
    assert "49" not in text.partition("## Evidence")[2]
    assert "](" not in text
    assert "<img" not in text
    assert "**approve**" not in text


def test_a_cause_nobody_should_look_at_is_not_named_and_none_is_certain() -> None:
    sure = Candidate(component="cart", score=9, fault_kind="errors", probability=1.0)
    other = Candidate(component="ads", score=0.1, fault_kind="errors", probability=0.001)
    text = brief(
        "en",
        state(DOOR, ranking=Ranking(certainty="proven", calibrated=True, candidates=(sure, other))),
    )
    assert "(99 %)" in text
    assert "ads" not in text


def test_a_host_that_nothing_watches_stands_in_the_line_of_the_cause() -> None:
    told = Candidate(
        component="cart",
        score=1,
        fault_kind="rate_limited",
        peer="api.stripe.com",
        probability=0.7,
    )
    text = brief("en", state(DOOR, ranking=Ranking(certainty="likely", candidates=(told,))))
    assert line("Cause", text).startswith("**Cause**: likely: **cart**, rate limit")
    assert "at api.stripe.com, outside of what is watched" in line("Cause", text)


def test_little_history_is_said() -> None:
    enough, little = (brief("en", state(DOOR, OWN), history_s=s) for s in (301.0, 180.0))
    assert "likely: **cart**, bad deployment (80 %)" in line("Cause", enough)
    assert "what is normal, with only 3 min of metrics before the onset" in line(
        "Not known", little
    )
    assert "何为正常:起始前只有 3 min 的指标" in brief("zh", state(DOOR, OWN), history_s=180.0)
    assert line("Not known", brief("en", state(DOOR, OWN))) == line("Not known", enough)


def alert(number: int, about: Subject | None = None, told_by: str = "", service: str = "") -> Alert:
    return Alert(
        fingerprint=str(number),
        name=f"A{number}",
        subject=about or Subject(),
        told_by=told_by,
        service=service,
        starts_at=ONSET,
    )


def test_an_alert_on_little_past_is_said_to_be_provisional_unless_another_bears_it_out() -> None:
    told = {"source": "copilot", "annotations": {"provisional": "3 min"}}
    ours, other = alert(1).model_copy(update=told), alert(2)
    foreign = ours.model_copy(update={"source": "alertmanager"})
    said = line("Since", brief("en", state(DOOR), alerts=[ours]))
    assert "provisional: our watch had seen only 3 min" in said
    assert "暂定:监视此前只看到 3 min" in brief("zh", state(DOOR), alerts=[ours]).replace("：", ":")
    for alerts in ([ours, other], [foreign], []):
        assert "provisional" not in brief("en", state(DOOR), alerts=alerts)


WEB = Subject(kind="service", name="web")
NODE = Subject(kind="node", name="worker-3")
CLAIM = Subject(kind="claim", name="data-0", namespace="shop")
WHO: dict[str, tuple[list[Alert], str, str]] = {
    "a service": ([alert(1, WEB)], "alerts about: web", "告警涉及:web"),
    "one that tells of itself": ([alert(1, WEB, "web")], "about: web", "涉及:web"),
    "one subject of two alerts": ([alert(1, WEB), alert(2, WEB)], "about: web", "涉及:web"),
    "a service without a subject": ([alert(1, service="pay")], "about: pay", "涉及:pay"),
    "a node and a claim, told by others": (
        [alert(1, NODE, "node-exporter"), alert(2, CLAIM, "kubelet")],
        "about: node worker-3 (told by node-exporter), claim data-0 (told by kubelet)",
        "涉及:节点 worker-3(由 node-exporter 告知)、持久卷声明 data-0(由 kubelet 告知)",
    ),
    "one name in two namespaces": (
        [alert(1, WEB.model_copy(update={"namespace": one})) for one in ("a", "b")],
        "about: web (a), web (b)",
        "涉及:web (a)、web (b)",
    ),
    "some that name nobody": (
        [alert(1, WEB), alert(2), alert(3), alert(3)],
        "about: web; 2 alerts name nobody",
        "涉及:web;2 条告警未指明对象",
    ),
    "only one that names nobody": (
        [alert(1)],
        "about: nobody named; 1 alert names nobody",
        "涉及:未指明;1 条告警未指明对象",
    ),
    "a storm": (
        [alert(n, Subject(kind="node", name=f"n{n}")) for n in range(23)],
        "node n19 and 3 more",
        "节点 n19 等,另有 3 个",
    ),
}


@pytest.mark.parametrize("case", WHO)
def test_every_subject_of_the_alerts_is_named(case: str) -> None:
    alerts, english, chinese = WHO[case]
    assert line("Who", brief("en", state(DOOR), alerts=alerts)).endswith(english)
    assert line("影响", brief("zh", state(DOOR), alerts=alerts)).endswith(chinese)


NEXT: dict[str, tuple[PlanTerms, str, str]] = {
    "a dry run": (agreed(), "(**dry run**: nothing is really touched), risk", "(**演练**:不会触及"),
    "for real": (agreed(dry_run=False), "`rollback` on cart, risk C", "执行 `rollback`,风险"),
    "nobody of two yet": (agreed(0, 2), ", 0 of 2 approvals: Roll", ",已有 0/2 人批准:回滚"),
    "one of two": (agreed(1, 2, dry_run=False), ", 1 of 2 approvals: Roll", ",已有 1/2 人批准"),
}


@pytest.mark.parametrize("case", NEXT)
def test_the_next_line_says_what_a_yes_means(case: str) -> None:
    terms, english, chinese = NEXT[case]
    given = state(DOOR, OWN)
    assert english in line("Next", brief("en", given, PLAN, terms))
    assert chinese in line("下一步", brief("zh", given, PLAN, terms))
    if not terms.dry_run:
        assert "dry run" not in brief("en", given, PLAN, terms)


def line(name: str, text: str) -> str:
    (found,) = (one for one in text.splitlines() if one.startswith(f"**{name}**"))
    return found


ENDED: dict[str, tuple[bool, VerificationOutcome, str, str]] = {
    "shown only": (True, "unknown", "was a **dry run**: its steps were shown", "仅为**演练**"),
    "recovered": (False, "recovered", "was run and it recovered", "并已恢复"),
    "no help": (False, "worse", "it did not help (worse)", "未见效"),
    "not known": (False, "unknown", "whether it helped is not known", "效果未知"),
}


@pytest.mark.parametrize("case", ENDED)
def test_after_the_steps_the_next_line_says_what_came_of_them(case: str) -> None:
    dry_run, outcome, english, chinese = ENDED[case]
    result = StepResult(
        key=f"i:{PLAN.digest}:0", ok=True, dry_run=dry_run, started_at=ONSET, ended_at=ONSET
    )
    given = IncidentState(**state(DOOR, OWN), results=[result])
    assert english in line("Next", brief("en", given, PLAN, agreed(), outcome=outcome))
    assert chinese in line("下一步", brief("zh", given, PLAN, agreed(), outcome=outcome))


def document(id_: str, **more: object) -> RecalledDocument:
    fields = {
        "document": id_,
        "kind": "runbook",
        "title": Text(en="Disk full", zh="磁盘写满"),
        "trust": "reviewed",
        "agreement": "cause",
    }
    return RecalledDocument.model_validate(fields | more)


THEIRS = document(
    "shop-2015-01-02",
    kind="postmortem",
    trust="reported",
    source="https://shop.example/pm",
    date="2015-01-02",
    elsewhere=True,
)


@pytest.mark.parametrize(
    ("language", "recalled", "says"),
    [
        pytest.param(
            "en", document("disk-full"), "**Seen before**: runbook “Disk full”", id="ours"
        ),
        pytest.param("zh", document("disk-full"), "**曾见过**:运行手册“磁盘写满”", id="ours, zh"),
        pytest.param(
            "en", THEIRS, "**Seen elsewhere, not here**: postmortem “Disk full”", id="theirs"
        ),
        pytest.param("zh", THEIRS, "**他处见过,并非本系统**:复盘“磁盘写满”", id="theirs, zh"),
    ],
)
def test_what_was_seen_before_says_whose_it_is_and_how_to_open_it(
    language: Language, recalled: RecalledDocument, says: str
) -> None:
    text = brief(language, state(DOOR, OWN), recalled=(recalled,))
    assert says in text
    assert f"`copilot kb show {recalled.document}`" in text
    assert ("https://shop.example/pm" in text) is recalled.elsewhere


def test_the_id_of_an_incident_of_ours_is_no_address() -> None:
    ours = document("pm-inc-1", kind="postmortem", trust="reported", source="incident:inc-1")
    text = brief("en", state(DOOR, OWN), recalled=(ours,))
    assert "incident:inc-1" not in text
    assert "`copilot kb show pm-inc-1`" in text


@pytest.mark.parametrize(
    ("ago_s", "said"), [(60.0, "在起始前 1 min"), (-80.0, "在起始后 1 min 20 s")]
)
def test_a_change_is_told_on_its_side_of_the_onset_in_chinese(ago_s: float, said: str) -> None:
    change = evidence(
        3, "change", "cart", "-", name="deploy", onset=ONSET - ago_s, figures={"ago_s": ago_s}
    )
    assert f"cart:发布,{said}" in evidence_line(change, "zh").statement
