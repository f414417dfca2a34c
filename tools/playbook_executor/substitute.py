"""Put validated values into the holes of a playbook: `${name}`, and nothing cleverer.

A text that is one hole becomes the typed value. A hole inside a longer text becomes the value's
characters, which is allowed for single tokens and integers only. The result is never read again.
"""

import re
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from tools.types import Scalar

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


def substitute(value: JsonValue, values: Mapping[str, Scalar]) -> JsonValue:
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


def text(template: str, values: Mapping[str, Scalar]) -> str:
    """The text with each hole replaced by the value's characters."""
    return HOLE.sub(lambda match: str(values[match[1]]), template)
