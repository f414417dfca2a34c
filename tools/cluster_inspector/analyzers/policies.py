"""Network policies: pods that may not be reached, or may reach nobody."""

from collections import defaultdict
from collections.abc import Iterator

from tools.cluster_inspector.findings import HINT, NOTE, ClusterFinding
from tools.cluster_inspector.rules import broken
from tools.cluster_inspector.view import View
from tools.types import NetworkPolicy, PolicyPeer, PolicyRule


def isolation(view: View) -> Iterator[ClusterFinding]:
    """Applications for which all policies together leave a direction without any peer.

    Policies add up: one that opens a direction is enough, and an empty selector selects all pods.
    Source: https://kubernetes.io/docs/concepts/services-networking/network-policies/
    """
    chosen: dict[str, list[NetworkPolicy]] = defaultdict(list)
    for policy in view.state.policies:
        for application in view.carriers(policy.selector):
            chosen[application].append(policy)
    for application, policies in chosen.items():
        # A policy that a listing names may open what the others close.
        if any("directions" not in one.model_fields_set for one in policies):
            continue
        for direction in ("Ingress", "Egress"):
            closing = [one for one in policies if direction in one.directions]
            if not closing or (direction == "Ingress" and not view.services_of(application)):
                continue
            rules = [rule for one in closing for rule in _rules(one, direction)]
            if not any(_opens(view, rule) for rule in rules):
                yield _isolated(application, closing[0], direction, rules)


def _rules(policy: NetworkPolicy, direction: str) -> tuple[PolicyRule, ...]:
    return policy.ingress if direction == "Ingress" else policy.egress


def _opens(view: View, rule: PolicyRule) -> bool:
    """Somebody passes: everybody, somebody elsewhere, or a pod that exists."""
    return not rule.peers or any(_exists(view, peer) for peer in rule.peers)


def _exists(view: View, peer: PolicyPeer) -> bool:
    if peer.elsewhere or peer.pods is None or not view.complete("Pod"):
        return True
    return bool(view.carriers(peer.pods))


def _isolated(
    application: str, policy: NetworkPolicy, direction: str, rules: list[PolicyRule]
) -> ClusterFinding:
    way = "callers" if direction == "Ingress" else "callees"
    observed = "rules that match no pod" if rules else "no rule"
    # Without a rule nothing passes; a peer that is not there may only not have been started.
    score = NOTE if rules else HINT if direction == "Egress" else 0.5
    return broken(
        "policy-isolates", f"app/{application}", on=f"NetworkPolicy/{policy.name}",
        field=f"spec.{direction.lower()}", observed=observed,
        expected=f"a rule for its {way}", score=score,
        evidence=f"policy {policy.name} closes {direction.lower()} of {application}: {observed}",
    )  # fmt: skip
