"""One text for one value, so that equal values have equal digests."""

import json
import math
import re
from collections.abc import Mapping

from pydantic import BaseModel, JsonValue
from pydantic_core import PydanticSerializationError, to_json

_SURROGATES = re.compile("[\ud800-\udfff]")


def canonical(value: Mapping[str, JsonValue]) -> str:
    """JSON with sorted keys, no spaces, UTF-8 as it is.

    What JSON or UTF-8 cannot say is replaced before it is hashed: NaN and infinities by null, lone
    surrogates by U+FFFD.

    >>> canonical({"b": 1.0, "a": float("nan")})
    '{"a":null,"b":1.0}'
    """
    return json.dumps(
        _sayable(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def document(value: BaseModel) -> str:
    """A model as JSON that reads back as it was, NaN and infinities included; for our own tables.

    >>> from tools.types import Window
    >>> document(Window(start=0, end=float("inf")))
    '{"start":0.0,"end":Infinity}'
    """
    try:
        return to_json(value.model_dump(), inf_nan_mode="constants").decode()
    except PydanticSerializationError:  # a lone surrogate, which UTF-8 cannot say
        return sayable(json.dumps(value.model_dump(mode="json"), ensure_ascii=False))


def sayable(text: str) -> str:
    """The text with lone surrogates replaced, so that every database and UTF-8 can hold it."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)


def _sayable(value: object) -> object:
    match value:
        case str():
            return sayable(value)
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {sayable(str(key)): _sayable(item) for key, item in value.items()}
        case list() | tuple():
            return [_sayable(item) for item in value]
        case _:
            return value
