"""Which nodes a pod may run on, by its selector, its affinity and its tolerations."""

import re

from tools.types import Node, PodSpec, Requirement, Taint, Toleration

CONTROL_PLANE_ROLES = frozenset({"control-plane", "master"})
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_ROLE_LABELS = ("node-role.kubernetes.io/", "kubernetes.io/role")


def readable(resource: str, amount: float) -> str:
    """An amount of a resource as a person reads it: bytes in a binary unit, others as they are.

    >>> readable("memory", 8 * 2.0**30), readable("cpu", 0.5)
    ('8Gi', '0.5')
    """
    if not any(word in resource for word in ("memory", "storage")):
        return f"{amount:g}"
    for power, unit in enumerate(_UNITS):
        if amount < 1024.0 ** (power + 1) or unit == _UNITS[-1]:
            return f"{amount / 1024.0**power:.3g}{unit}"
    return f"{amount:g}"


_UNITS = ("", "Ki", "Mi", "Gi", "Ti")


def is_control_plane(node: Node) -> bool:
    """True for a node that is kept for the control plane."""
    labelled = {
        value if key == "kubernetes.io/role" else key.removeprefix("node-role.kubernetes.io/")
        for key, value in node.labels.items()
        if key.startswith(_ROLE_LABELS)
    }
    return bool(CONTROL_PLANE_ROLES & (labelled | set(node.roles)))


def requirement_matches(requirement: Requirement, labels: dict[str, str]) -> bool:
    """One requirement of a label match, with the operators of node affinity.

    >>> not_hdd = Requirement(key="disk", operator="NotIn", values=("hdd",))
    >>> requirement_matches(not_hdd, {"disk": "ssd"})
    True
    """
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value is not None and value in requirement.values
        case "NotIn":
            return value is None or value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(requirement, value)
        case _:
            return False


def _compares(requirement: Requirement, value: str | None) -> bool:
    bound = requirement.values[0] if requirement.values else ""
    if value is None or not _INTEGER.fullmatch(value) or not _INTEGER.fullmatch(bound):
        return False
    return int(value) > int(bound) if requirement.operator == "Gt" else int(value) < int(bound)


def selected(spec: PodSpec, node: Node) -> bool:
    """The node carries every label of the node selector."""
    return all(node.labels.get(key) == value for key, value in spec.node_selector.items())


def near(spec: PodSpec, node: Node) -> bool:
    """The node satisfies one term of the required node affinity, or there is none."""
    if not spec.node_affinity:
        return True
    return any(
        all(requirement_matches(requirement, node.labels) for requirement in term)
        for term in spec.node_affinity
    )


def tolerated(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    """Some toleration covers the taint."""
    return any(
        (not item.key or item.key == taint.key)
        and (not item.effect or item.effect == taint.effect)
        and (item.operator == "Exists" or item.value == taint.value)
        for item in tolerations
    )
