"""Choose a playbook for the located cause: by rule, by what worked, with a model; or abstain."""

from collections.abc import Mapping, Sequence
from typing import Literal

from tools.playbook_executor.offers import Offer, offer_with_bar, offers
from tools.playbook_executor.proposal import ProposalContext, weigh
from tools.playbook_executor.subject import PlaybookSubject
from tools.playbook_executor.weighing import CAUTION, PlaybookWeights
from tools.types import (
    Candidate,
    Choice,
    ConsideredPlaybook,
    Fact,
    FaultKind,
    Playbook,
    PlaybookOutcome,
    Ranking,
    Text,
    Timestamp,
)

_UNLOCATED = Text(
    en="Compare the front door with each service since the onset; see what changed just before.",
    zh="从故障开始时刻起，对比入口与各服务的指标；查看此前不久的变更。",
)

_BY_KIND: dict[FaultKind, Text] = {
    "disk_io": Text(
        en="Look at queue depth and latency of the volume, and at who reads or writes the most.",
        zh="查看磁盘队列深度与延迟，以及读写量最大的进程。",
    ),
    "network_delay": Text(
        en="Measure the round trip from both the caller's and the callee's side; check the links.",
        zh="从两端测量调用方与被调用方之间的往返时延；检查节点链路。",
    ),
    "lock_contention": Text(
        en="List the waiting sessions and the one that blocks them; ask its owner first.",
        zh="列出等待的会话及阻塞者；终止之前先联系其负责人。",
    ),
    "queue_backlog": Text(
        en="Compare the rates in and out of the queue; look at the consumers' errors and count.",
        zh="对比队列的入队与出队速率；查看消费者的错误与数量。",
    ),
    "dns_failure": Text(
        en="Resolve the name from an affected instance; look at the resolver's load and changes.",
        zh="在受影响的实例上解析该域名；查看解析器的负载与变更。",
    ),
    "clock_skew": Text(
        en="Compare the instances' clocks with the time source; look at the time service.",
        zh="将实例时钟与时间源对比；检查时间同步服务状态。",
    ),
    "rate_limited": Text(
        en="Read the limit in the answer and who calls most; slow it down, or ask for more.",
        zh="查看应答中的限额与调用最多的一方；降低调用频率，或申请提高限额。",
    ),
    "credentials": Text(
        en="Find which secret the caller uses and what changed it last; compare with the store's.",
        zh="确认调用方使用的密钥及其最近变更；与服务端的凭据对比。",
    ),
    "schema_mismatch": Text(
        en="Compare the migrations that ran with those of the release; run them or roll it back.",
        zh="对比已执行与发布所需的数据库迁移；补执行迁移或回滚发布。",
    ),
    "read_only": Text(
        en="Find which node is the primary, who made it read-only, and where clients write to.",
        zh="确认哪个节点是主节点、谁将其设为只读，以及客户端写向何处。",
    ),
    "replication_lag": Text(
        en="Look at what the replica applies and who writes; send reads to the primary meanwhile.",
        zh="查看副本正在应用的内容与写入来源；期间将读请求转到主节点。",
    ),
    "noisy_neighbour": Text(
        en="Look at which other workload on the node took the resource, and at its limits.",
        zh="查看同一节点上占用资源的其他负载及其限制。",
    ),
    "admission": Text(
        en="Read the refusal in the events (quota, policy, webhook); compare the last manifest.",
        zh="阅读事件中的拒绝原因：配额、策略或 webhook；与上一个正常清单对比。",
    ),
    "scheduling": Text(
        en="Read why no node fits: requests, taints, affinity, or a volume in another zone.",
        zh="查看没有节点可用的原因：资源请求、污点、亲和性或其他可用区的卷。",
    ),
    "startup": Text(
        en="Read the container's state: image name, pull secret, missing key, volume permission.",
        zh="查看容器状态：镜像名、拉取密钥、缺失的键、卷权限。",
    ),
    "routing": Text(
        en="Compare the service's selector and ports with the pods'; look for empty endpoints.",
        zh="对比 Service 的选择器与端口和 Pod 的是否一致；检查端点是否为空。",
    ),
    "certificate_expired": Text(
        en="Read the certificate the peer presents, its dates and its issuer, and who renews it.",
        zh="查看对端出示的证书、有效期与颁发者，以及负责续期的人。",
    ),
}


def what_to_check(kind: FaultKind | None) -> Text:
    """Return what a person should look at first for this fault kind; None: no cause is located."""
    return _UNLOCATED if kind is None else _BY_KIND.get(kind, _UNLOCATED)


Arm = Literal["rules", "ml", "llm"]
NOTHING: Mapping[str, str] = {}


def choose(
    playbooks: Sequence[Playbook],
    ranking: Ranking,
    facts: Mapping[str, Fact],
    history: Sequence[PlaybookOutcome] = (),
    *,
    arm: Arm = "rules",
    excluded: Mapping[str, str] = NOTHING,
    now: Timestamp | None = None,
    minimum_cases: int = 5,
    unrunnable: Mapping[str, str] = NOTHING,
    consulted: ProposalContext | None = None,
) -> Choice:
    """Choose a playbook with its parameters for the first candidate of `ranking`, or abstain.

    `rules`: of the playbooks for this fault kind and component kind whose preconditions hold and
    whose parameters are known, the one with the highest preference, then the lowest risk, unless
    the past of another is surely better (see `PlaybookWeights`). Beside the chosen one stands
    `another`, which it is not surely better than. `ml`:
    of those tried at least `minimum_cases` times in the nearest past cases, the one with the
    highest 5 % quantile of the Beta posterior of its success; without enough cases, the rules'
    choice. `llm`: the rules' choice, and where they have none a proposal of `consulted` that what
    was measured and what is written both confirm (see `proposal`).

    `facts` has keys `<fact>:<component>`; `excluded` holds the ids already tried or rejected in
    this incident, `unrunnable` those that nothing here could run, both with the reason; with
    `now`, a playbook cooling down on this component is left out.
    """
    if ranking.abstained or not ranking.candidates:
        reason = f"the cause is not located: {ranking.reason or 'no candidate'}"
        return Choice(
            reason=reason, reason_zh="故障原因尚未定位", check=what_to_check(None), arm=arm
        )
    first = ranking.candidates[0]
    if first.fault_kind is None:
        return _unknown_kind(first, arm)
    subject = PlaybookSubject.of(first.component, facts)
    tried = {past.playbook_id for past in history if past.fault_kind == first.fault_kind}
    offered = [
        offer_with_bar(offer, subject, history, {**unrunnable, **excluded}, now)
        for offer in offers(playbooks, first.fault_kind, subject, tried if arm == "ml" else ())
    ]
    ready = [offer for offer in offered if not offer.obstacle]
    weighing = PlaybookWeights(first.fault_kind, subject, history, minimum_cases)
    chosen, reason = (
        _by_outcomes(ready, weighing) if arm == "ml" else _by_preference(ready, weighing)
    )
    choice = (
        _abstention(first, first.fault_kind, offered, arm)
        if chosen is None
        else _chosen(first, chosen, reason, offered, arm).model_copy(
            update={"another": weighing.another(chosen, ready)}
        )
    )
    if consulted is None or arm != "llm":
        return choice
    return weigh(choice, consulted, offered, subject, {one.id for one in playbooks})


def _by_preference(ready: Sequence[Offer], weighing: PlaybookWeights) -> tuple[Offer | None, str]:
    meant = [offer for offer in ready if offer.preference > 0]
    return weighing.foremost(meant) if meant else (None, "")


def _by_outcomes(ready: Sequence[Offer], weighing: PlaybookWeights) -> tuple[Offer | None, str]:
    """The offer that most surely works; of those without enough cases, the catalogue's first."""
    proven: list[tuple[float, Offer, str]] = []
    untried: list[Offer] = []
    for offer in ready:
        past = weighing.past(offer)
        if past.cases < weighing.minimum_cases:
            untried.append(offer)
        elif past.mean >= 0.5:
            said = f"{past.successes} of {past.cases} past cases on {past.neighbourhood} recovered"
            proven.append((past.quantile(CAUTION), offer, said))
    if proven:
        _, chosen, reason = min(proven, key=lambda row: (-row[0], row[1].order))
        return chosen, reason
    first = next((offer for offer in untried if offer.preference > 0), None)
    said = f"it is the catalogue's first for {weighing.kind}"
    return first, f"{said}; it has fewer than {weighing.minimum_cases} past cases"


def _chosen(
    candidate: Candidate, offer: Offer, reason: str, offered: Sequence[Offer], arm: Arm
) -> Choice:
    playbook = offer.playbook
    return Choice(
        playbook_id=playbook.id,
        component=candidate.component,
        parameters=offer.parameters,
        evidence=_evidence(candidate),
        reason=f"{playbook.id}: {reason}",
        reason_zh=f"{playbook.id}：针对 {candidate.fault_kind} 选择",
        check=playbook.check,
        considered=tuple(_considered(other, other is offer) for other in offered),
        arm=arm,
    )


def _abstention(
    candidate: Candidate, kind: FaultKind, offered: Sequence[Offer], arm: Arm
) -> Choice:
    reason, check = f"no playbook of the catalogue is for {kind}", what_to_check(kind)
    if offered:
        first = offered[0]
        obstacle = first.obstacle or "what was tried seldom worked"
        reason, check = f"{first.playbook.id} cannot be proposed: {obstacle}", first.playbook.check
    return Choice(
        component=candidate.component,
        evidence=_evidence(candidate),
        reason=reason,
        reason_zh=f"没有可以安全执行的预案（{kind}）",
        check=check,
        considered=tuple(_considered(offer, False) for offer in offered),
        arm=arm,
    )


def _unknown_kind(candidate: Candidate, arm: Arm) -> Choice:
    return Choice(
        component=candidate.component,
        evidence=_evidence(candidate),
        reason=f"{candidate.component} is located, but the kind of its fault is not known",
        reason_zh=f"已定位到 {candidate.component}，但故障类型未知",
        check=what_to_check(None),
        arm=arm,
    )


def _considered(offer: Offer, taken: bool) -> ConsideredPlaybook:
    left = offer.obstacle or "another is preferred"
    return ConsideredPlaybook(
        playbook_id=offer.playbook.id, taken=taken, reason="chosen" if taken else left
    )


def _evidence(candidate: Candidate) -> tuple[str, ...]:
    return tuple(dict.fromkeys(number for term in candidate.terms for number in term.evidence))
