"""Random text, and random values that satisfy a JSON schema; the same for the same seed."""

import json
from collections.abc import Mapping
from random import Random

from pydantic import JsonValue

from copilot.testing.ollama import pattern

JsonSchema = Mapping[str, JsonValue]
WORDS = (
    *("payment", "checkout", "disk", "latency", "restart", "rollback", "node", "cache", "queue"),
    *("because", "therefore", "root cause", "likely", "unlikely", "yes", "no", "42", "0.97", "99%"),
    *("E1", "E2", "E7", "E999", "支付", "数据库", "超时", "重启", "原因"),
)
DEEPEST = 6


def text(rng: Random, most: int = 40) -> str:
    """Words that mean nothing."""
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, most)))


def fitting(schema: JsonSchema, rng: Random) -> str:
    """JSON text of a random value that satisfies the schema."""
    return json.dumps(_Noise(schema, rng).value(schema, 0), ensure_ascii=False)


def resolved(schema: JsonSchema, root: JsonSchema) -> JsonSchema:
    """A schema with its references followed and its parts put together."""
    while isinstance(reference := schema.get("$ref"), str):
        found: JsonValue = dict(root)
        for step in reference.removeprefix("#/").split("/"):
            assert isinstance(found, dict)
            found = found[step]
        assert isinstance(found, dict)
        schema = found
    every = schema.get("allOf")
    if not isinstance(every, list):
        return schema
    merged = {key: value for key, value in schema.items() if key != "allOf"}
    for part in every:
        assert isinstance(part, dict)
        merged |= resolved(part, root)
    return merged


class _Noise:
    def __init__(self, root: JsonSchema, rng: Random) -> None:
        self._root = root
        self._rng = rng

    def value(self, schema: JsonSchema, depth: int) -> JsonValue:
        schema = resolved(schema, self._root)
        if "const" in schema:
            return schema["const"]
        if isinstance(choices := schema.get("enum"), list):
            return self._rng.choice(choices)
        for key in ("anyOf", "oneOf"):
            if isinstance(options := schema.get(key), list):
                return self.value(self._one_of(options, depth), depth)
        return self._typed(schema, depth)

    def _one_of(self, options: list[JsonValue], depth: int) -> JsonSchema:
        schemas = [one for one in options if isinstance(one, dict)]
        plain = [one for one in schemas if one.get("type") in ("null", "string", "integer")]
        return self._rng.choice(plain if plain and depth >= DEEPEST else schemas)

    def _typed(self, schema: JsonSchema, depth: int) -> JsonValue:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = self._rng.choice(kind)
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer" | "number":
                return self._number(schema, whole=kind == "integer")
            case "boolean":
                return self._rng.random() < 0.5
        return None

    def _object(self, schema: JsonSchema, depth: int) -> JsonValue:
        properties = schema.get("properties")
        needed = schema.get("required")
        more = schema.get("additionalProperties")
        found: dict[str, JsonValue] = {}
        for name, of in properties.items() if isinstance(properties, dict) else ():
            assert isinstance(of, dict)
            must = isinstance(needed, list) and name in needed
            if must or (depth < DEEPEST and self._rng.random() < 0.7):
                found[name] = self.value(of, depth + 1)
        if isinstance(more, dict) and depth < DEEPEST:
            for _ in range(self._rng.randint(0, 2)):
                found[self._rng.choice(WORDS)] = self.value(more, depth + 1)
        return found

    def _array(self, schema: JsonSchema, depth: int) -> JsonValue:
        fewest, most = _whole(schema, "minItems", 0), _whole(schema, "maxItems", 4)
        fixed = schema.get("prefixItems")
        if isinstance(fixed, list):
            return [self.value(one, depth + 1) for one in fixed if isinstance(one, dict)]
        of = schema.get("items")
        most = fewest if depth >= DEEPEST else max(fewest, most)
        length = self._rng.randint(fewest, min(most, fewest + 4))
        return [self.value(of if isinstance(of, dict) else {}, depth + 1) for _ in range(length)]

    def _string(self, schema: JsonSchema) -> str:
        if isinstance(shape := schema.get("pattern"), str):
            return pattern.matching(shape, self._rng)
        fewest, most = _whole(schema, "minLength", 0), _whole(schema, "maxLength", 120)
        said = text(self._rng, 12)
        while len(said) < fewest:
            said += " " + text(self._rng, 12)
        return said[:most]

    def _number(self, schema: JsonSchema, *, whole: bool) -> float | int:
        low, high = _real(schema, "minimum", -10.0), _real(schema, "maximum", 0.0)
        low = _real(schema, "exclusiveMinimum", low)
        high = _real(schema, "exclusiveMaximum", high if high > low else low + 1000.0)
        if whole:
            first = int(low) + ("exclusiveMinimum" in schema)
            final = int(high) - ("exclusiveMaximum" in schema and high == int(high))
            return self._rng.randint(first, max(first, final))
        return low + (high - low) * (0.001 + 0.998 * self._rng.random())


def _whole(schema: JsonSchema, key: str, default: int) -> int:
    value = schema.get(key)
    return value if isinstance(value, int) else default


def _real(schema: JsonSchema, key: str, default: float) -> float:
    value = schema.get(key)
    return float(value) if isinstance(value, int | float) else default
