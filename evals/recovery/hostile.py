"""Hostile text and numbers in every parameter of every playbook that ships."""

from collections.abc import Iterator, Mapping
from functools import cache

from evals.recovery.attack import NOW, Attack
from knowledge_base import playbooks
from tools.playbook_executor import ParameterError, fill
from tools.types import Parameter, Plan, Playbook, Scalar


@cache
def by_id() -> Mapping[str, Playbook]:
    """The playbooks that ship, read when they are first attacked."""
    return {playbook.id: playbook for playbook in playbooks()}


HOSTILE = {
    "second command": "cart; rm -rf /",
    "and command": "cart && reboot",
    "pipe": "cart|sh",
    "command substitution": "$(reboot)",
    "backticks": "`reboot`",
    "newline": "cart\nreboot",
    "trailing newline": "cart\n",
    "carriage return": "cart\rreboot",
    "null byte": "cart\x00",
    "option": "--all",
    "short option": "-A",
    "parent folder": "../../etc/passwd",
    "absolute path": "/etc/passwd",
    "hidden parent": "cart..prod",
    "URL": "http://evil.example/x",
    "user in a URL": "cart@evil.example",
    "encoded slash": "cart%2f..%2fadmin",
    "Jinja": "{{ 7*7 }}",
    "Jinja code": "{% import os %}",
    "our own hole": "${service}",
    "format string": "{0.__class__}",
    "percent format": "%(password)s",
    "wildcard": "*",
    "label selector": "app=cart",
    "JSON": '{"verb": "drain"}',
    "white space": " cart",
    "escape sequence": "cart\x1b[2J",
    "direction override": "cart\u202egpj",
    "zero width": "cart\u200b",
    "look-alike letter": "сart",
    "full-width letter": "ｃart",
    "empty": "",
    "very long": "a" * 4096,
}
"""What an attacker would write where a name is expected."""


NUMBERS: dict[str, object] = {
    "text": "8",
    "text with a command": "8; reboot",
    "fraction": 8.0,
    "not a number": float("nan"),
    "infinite": float("inf"),
    "boolean": True,
    "negative": -1,
    "zero": 0,
    "far too many": 10**9,
    "beyond any float": 10**400,
    "nothing": None,
    "list": [8],
    "operator object": {"$gt": 0},
}
"""What an attacker would write where a whole number is expected."""

FOR_TYPE: dict[str, dict[str, object]] = {
    "name": {**HOSTILE},
    "names": {
        title: f"payment,{text}" for title, text in HOSTILE.items() if title != "white space"
    },
    "integer": NUMBERS,
    "number": NUMBERS,
}

SURPLUS: dict[str, object] = {
    "namespace": "kube-system",
    "argv": ["sh"],
    "__class__": "x",
    "steps": [],
}
"""Parameters that no playbook declares."""


def good_values(playbook_id: str) -> dict[str, object]:
    """Values that fit: what each attack changes one of."""
    return {one.name: _good(one) for one in by_id()[playbook_id].parameters}


def _good(parameter: Parameter) -> Scalar:
    if parameter.type in ("name", "names"):
        return "cart"
    if parameter.type == "integer":
        return int(min(max(8, parameter.minimum or 0), parameter.maximum or 8))
    return parameter.default if parameter.default is not None else parameter.minimum or 0.0


def filled(playbook_id: str, values: dict[str, object], component: str = "cart") -> Plan:
    """The plan of these values, or a `ParameterError`."""
    return fill(by_id()[playbook_id], values, "inc-1", component, (), NOW, 900.0)


def parameter_attacks() -> Iterator[Attack]:
    """One for each hostile value in each parameter it fits, and in the component."""
    for playbook_id, playbook in by_id().items():
        for parameter in playbook.parameters:
            table: dict[str, object] = FOR_TYPE.get(parameter.type, {})
            for title, value in table.items():
                name = f"{playbook_id}/{parameter.name}: {title}"
                yield _attack(name, playbook_id, {parameter.name: value})
    for title in sorted(set(HOSTILE) - {"user in a URL"}):  # which is also an owner of series
        yield _attack(f"component: {title}", "drain-node", {}, HOSTILE[title])
    for name, value in SURPLUS.items():
        yield _attack(f"not declared: {name}", "restart", {name: value})
    yield _attack("component of another incident", "restart", {"service": "payment"})


def _attack(
    name: str, playbook_id: str, changes: dict[str, object], component: str = "cart"
) -> Attack:
    values = {**good_values(playbook_id), **changes}
    return Attack(name, lambda _: filled(playbook_id, values, component), ParameterError)
