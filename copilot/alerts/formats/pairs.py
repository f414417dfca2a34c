"""Names with values, in all the ways that senders write tags, labels and dimensions."""

from typing import Annotated

from pydantic import BeforeValidator

from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import MalformedError
from copilot.alerts.formats.meaning import text

_NAMES = ("name", "key", "tag", "label")
_WRONG = "an object, or a list of 'name:value'"
_MOST_TEXT = 65_536


def as_pairs(given: object) -> dict[str, str]:
    """An object, `name:value` or `name=value` in a list or a text, `[name, value]`, or objects.

    A tag without a value is a label of value `true`; a nested value says nothing in a label.

    >>> as_pairs("env:prod, urgent")
    {'env': 'prod', 'urgent': 'true'}
    >>> as_pairs([{"tag": "scope", "value": "cpu"}, ["level", "error"], "job=node:9100"])
    {'scope': 'cpu', 'level': 'error', 'job': 'node:9100'}
    """
    if given is None or given == "":
        return {}
    if isinstance(given, str):
        return _in_text(given)
    if isinstance(given, dict):
        told = ((str(name), _value(value)) for name, value in given.items())
        return {name: value for name, value in told if name and value}
    if isinstance(given, list):
        return {name: value for item in given for name, value in _item(item).items() if name}
    raise ValueError(_WRONG)


def _in_text(given: str) -> dict[str, str]:
    if len(given) > _MOST_TEXT:
        raise ValueError(f"at most {_MOST_TEXT} characters of tags")
    if given.lstrip()[:1] in "[{":
        try:
            return as_pairs(decoded(given.encode("utf-8", "replace")))
        except MalformedError:
            given = given.strip().strip("[]{}")  # as Java prints a map: {a=1, b=2}
    return {name: value for item in given.split(",") for name, value in _one(item).items()}


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(one for one in map(text, value) if one)
    return text(value) or ""


def _one(item: str) -> dict[str, str]:
    places = [place for mark in ":=" if (place := item.find(mark)) >= 0]
    if not places:
        return {item.strip(): "true"} if item.strip() else {}
    name, value = item[: min(places)].strip(), item[min(places) + 1 :].strip()
    return {name: value} if name and value else {}


def _item(item: object) -> dict[str, str]:
    if isinstance(item, str):
        return _one(item)
    if isinstance(item, list) and len(item) == 2:
        return {_value(item[0]): _value(item[1])} if _value(item[1]) else {}
    if not isinstance(item, dict):
        raise ValueError(_WRONG)
    name = next((_value(item[name]) for name in _NAMES if item.get(name)), "")
    if name and "value" in item:
        return {name: _value(item["value"])} if _value(item["value"]) else {}
    return as_pairs(item)


Pairs = Annotated[dict[str, str], BeforeValidator(as_pairs)]
