"""What is known of one component: the facts about it, without its name in their keys."""

from collections.abc import Mapping
from dataclasses import dataclass

from tools.types import ComponentKind, Fact, Owner, Precondition

_KINDS: tuple[ComponentKind, ...] = (
    "service",
    "gateway",
    "database",
    "cache",
    "queue",
    "node",
    "external",
)
_UNKNOWN: ComponentKind = "unknown"


@dataclass(frozen=True)
class PlaybookSubject:
    """The component a plan would act on, and what is known of it."""

    service: str
    kind: ComponentKind
    facts: Mapping[str, Fact]

    @classmethod
    def of(cls, component: str, facts: Mapping[str, Fact]) -> "PlaybookSubject":
        """Keep the facts `<fact>:<component>`; add what the component's own name says.

        >>> PlaybookSubject.of("cart", {"replicas:cart": 3.0, "replicas:web": 2.0}).facts
        {'replicas': 3.0}
        """
        owner = Owner.parse(component)
        known: dict[str, Fact] = {}
        for key, value in facts.items():
            fact, _, about = key.partition(":")
            if about in (owner.service, component):
                known[fact] = value
        if owner.kind == "node":
            known["node"] = owner.service
        known |= _call(owner, known)
        said = "node" if owner.kind == "node" else known.get("kind")
        kind = next((kind for kind in _KINDS if kind == said), _UNKNOWN)
        return cls(owner.service, kind, known)


def _call(owner: Owner, known: Mapping[str, Fact]) -> dict[str, Fact]:
    """Who calls whom, where the fault lies between two: `calling` and `called`.

    An edge names both. A service of ours is the one that calls, and the fact `dependency` says
    whom. What lies outside of our view is the one that is called, and the fact `caller` says by
    whom: a service of ours also has a caller, but that one's calls to it are not at fault.
    """
    if owner.caller:
        return {"calling": owner.caller, "called": owner.service}
    if "dependency" in known:
        return {"calling": owner.service, "called": known["dependency"]}
    if "caller" in known and known.get("kind") == "external":
        return {"calling": known["caller"], "called": owner.service}
    return {}


def broken(condition: Precondition, facts: Mapping[str, Fact]) -> str:
    """Why the condition does not hold for these facts; empty if it holds."""
    wanted = f"{condition.fact} {condition.comparison} {condition.value!r}"
    if condition.fact not in facts:
        return "" if condition.missing == "holds" else f"{wanted} is needed, but it is not known"
    value = facts[condition.fact]
    return "" if _holds(value, condition) else f"{wanted} is needed, but it is {value!r}"


def _holds(value: Fact, condition: Precondition) -> bool:
    bound = condition.value
    if isinstance(value, str) or isinstance(bound, str):
        return condition.comparison == "==" and value == bound
    return {
        "<": value < bound,
        "<=": value <= bound,
        "==": value == bound,
        ">=": value >= bound,
        ">": value > bound,
    }[condition.comparison]
