"""Check the values handed over for a playbook's parameters, and put them into its holes `${name}`.

A text that is one hole becomes the typed value. A hole inside a longer text becomes the value's
characters, which is allowed for single tokens and integers only. The result is never read again.
"""

import re
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from tools.playbook_executor.errors import ParameterError
from tools.playbook_executor.vocabulary import name
from tools.types import Owner, Parameter, Playbook, Scalar

HOLE = re.compile(r"\$\{([a-z][a-z0-9_]{0,40})\}")


def holes(value: JsonValue) -> Iterator[tuple[str, bool]]:
    """Every hole in a value with whether it stands alone; a stray `$` raises `ValueError`."""
    if isinstance(value, dict):
        for key, item in value.items():
            if "$" in key:
                raise ValueError(f"key {key!r}: a key cannot have a hole")
            yield from holes(item)
    elif isinstance(value, list):
        for item in value:
            yield from holes(item)
    elif isinstance(value, str):
        if "$" in HOLE.sub("", value):
            raise ValueError(f"{value!r}: '$' is only for holes such as ${{service}}")
        alone = HOLE.fullmatch(value) is not None
        yield from ((match[1], alone) for match in HOLE.finditer(value))


def substitute(value: JsonValue, values: Mapping[str, JsonValue]) -> JsonValue:
    """The value with each hole replaced by the parameter of that name.

    >>> substitute({"n": "${n}", "key": "upstream.${to}"}, {"n": 3, "to": "db"})
    {'n': 3, 'key': 'upstream.db'}
    """
    if isinstance(value, dict):
        return {key: substitute(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, values) for item in value]
    if isinstance(value, str):
        whole = HOLE.fullmatch(value)
        return values[whole[1]] if whole else text(value, values)
    return value


def text(template: str, values: Mapping[str, JsonValue]) -> str:
    """The text with each hole replaced by the value's characters."""
    return HOLE.sub(lambda match: str(values[match[1]]), template)


_MAX_TEXT, _SHOWN = 200, 80
"""Characters of a text, and of a wrong value in an error. source: a line of a terminal."""
MOST_NAMES = 10
"""As many as a person can read in the card. source: `Members` of a traffic group."""


def validated(playbook: Playbook, given: Mapping[str, object], component: str) -> dict[str, Scalar]:
    """Every declared parameter with a value of its type, within its bounds; nothing else.

    A parameter that names the component must name the component the plan is for. Raises
    `ParameterError` for an unknown, missing or unfit value; there is no conversion.
    """
    declared = {parameter.name for parameter in playbook.parameters}
    for surplus in sorted(set(given) - declared):
        raise ParameterError(playbook.id, surplus[:_SHOWN], "is not declared by this playbook")
    subject = Owner.parse(component).service
    values: dict[str, Scalar] = {}
    for parameter in playbook.parameters:
        try:
            value = checked(parameter, given.get(parameter.name, parameter.default))
            if parameter.source == "component" and value != subject:
                raise ValueError(f"{value!r} is not the component of the plan, {subject!r}")
        except ValueError as error:
            raise ParameterError(playbook.id, parameter.name, str(error)) from error
        values[parameter.name] = value
    return values


def checked(parameter: Parameter, value: object) -> Scalar:
    """The value, if the parameter allows it; else `ValueError` with what is wrong."""
    if value is None:
        raise ValueError("has no value")
    found = _typed(parameter, value)
    if parameter.allowed and found not in parameter.allowed:
        raise ValueError(f"{found!r} is not one of {', '.join(map(repr, parameter.allowed))}")
    return found


def _typed(parameter: Parameter, value: object) -> Scalar:
    if parameter.type == "boolean":
        if isinstance(value, bool):
            return value
    elif parameter.type in ("integer", "number"):
        return _number(parameter, value)
    elif isinstance(value, str):
        if parameter.type == "names":
            return ",".join(names(value))
        return name(value) if parameter.type == "name" else _text(parameter, value)
    raise ValueError(f"{str(value)[:_SHOWN]!r} is not of type {parameter.type}")


def read_values(playbook: Playbook, given: Mapping[str, str]) -> dict[str, Scalar]:
    """Texts that a person typed as values of the declared types; what is not of its type, or not
    declared, stays as it is: `fill` refuses it.
    """
    declared = {one.name: one.type for one in playbook.parameters}
    return {name: _read(declared.get(name, "text"), text) for name, text in given.items()}


def _read(wanted: str, text: str) -> Scalar:
    try:
        if wanted == "integer":
            return int(text)
        if wanted == "number":
            return float(text)
    except ValueError:
        return text
    return text == "true" if wanted == "boolean" and text in ("true", "false") else text


def names(text: str) -> tuple[str, ...]:
    """Names with commas between, blanks around them apart: one to ten, each once.

    >>> names("a1, a2")
    ('a1', 'a2')
    """
    found = tuple(name(one.strip(" ")) for one in text.split(",", MOST_NAMES))
    if len(found) > MOST_NAMES or len(set(found)) < len(found):
        raise ValueError(f"{text[:_SHOWN]!r} is more than {MOST_NAMES} names, or one of them twice")
    return found


def _number(parameter: Parameter, value: object) -> int | float:
    wanted = int if parameter.type == "integer" else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise ValueError(f"{str(value)[:_SHOWN]!r} is not of type {parameter.type}")
    assert isinstance(value, int | float)
    low, high = parameter.minimum, parameter.maximum
    if low is None or high is None or not low <= value <= high:
        raise ValueError(f"{value!r} is outside of {low!r} to {high!r}")
    return value


def _text(parameter: Parameter, value: str) -> str:
    if len(value) > _MAX_TEXT:
        raise ValueError(f"is longer than {_MAX_TEXT} characters")
    if parameter.pattern and not re.fullmatch(parameter.pattern, value, re.ASCII):
        raise ValueError(f"{value[:_SHOWN]!r} does not match {parameter.pattern!r}")
    return value
