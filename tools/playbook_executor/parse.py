"""Read a playbook from YAML: strict, and complete enough that filling can only fail on values.

The YAML is plain data: one document, no anchors, aliases or tags, no repeated key. A value is a
mapping with text keys, a list, text, a decimal number, true, false or null. What YAML 1.1 would
read as a date, an octal number or a `yes` is text here.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml
from pydantic import JsonValue, ValidationError

from tools.playbook_executor.errors import ParameterError, PlaybookError
from tools.playbook_executor.fill import filled_steps
from tools.playbook_executor.parameters import checked, holes
from tools.playbook_executor.vocabulary import reads
from tools.types import Parameter, Playbook, PlaybookStep, Scalar

MAX_CHARACTERS = 65_536
MAX_DEPTH = 12
FILL_IN = "FILL-IN"
"""Stands in a draft where a person has to decide; no playbook has it."""

YamlPath = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, JsonValue] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True)
class YamlDocument:
    """The value read, and the line of each place in it."""

    value: JsonValue
    lines: dict[YamlPath, int] = field(default_factory=dict)

    def line(self, place: YamlPath) -> int:
        """Line of the place, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read_yaml(text: str, source: str) -> YamlDocument:
    """Read one document or raise `PlaybookError` with the line of what is not plain data.

    >>> read_yaml("a: [1, 'two', on]", "example").value
    {'a': [1, 'two', 'on']}
    """
    if len(text) > MAX_CHARACTERS:
        raise PlaybookError(source, 1, f"longer than {MAX_CHARACTERS} characters")
    try:
        _refuse_clever_events(text, source)
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise PlaybookError(source, line, f"{error.problem}") from error
    except (yaml.YAMLError, UnicodeEncodeError) as error:  # the latter: half a character
        raise PlaybookError(source, 1, f"not YAML: {error}") from error
    if root is None:
        raise PlaybookError(source, 1, "empty document")
    lines: dict[YamlPath, int] = {}
    return YamlDocument(_value(root, source, (), lines), lines)


def _refuse_clever_events(text: str, source: str) -> None:
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise PlaybookError(source, line, "anchors and aliases are not allowed; write it out")
        tag = getattr(event, "tag", None)
        if tag:
            raise PlaybookError(source, line, f"tag {tag!r} is not allowed")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if documents > 1:
            raise PlaybookError(source, line, "more than one document")
        if depth > MAX_DEPTH:
            raise PlaybookError(source, line, f"nested deeper than {MAX_DEPTH} levels")


def _value(node: yaml.Node, source: str, place: YamlPath, lines: dict[YamlPath, int]) -> JsonValue:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, source, place, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, source, (*place, i), lines) for i, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return node.value if node.style else _scalar(node.value)  # libyaml: "" where it is plain


def _mapping(
    node: yaml.MappingNode, source: str, place: YamlPath, lines: dict[YamlPath, int]
) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise PlaybookError(source, line, "a key must be text")
        key = key_node.value
        if key in found:
            raise PlaybookError(source, line, f"key {key!r} appears twice")
        found[key] = _value(value_node, source, (*place, key), lines)
    return found


def _scalar(text: str) -> JsonValue:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return text


def parse(text: str, source: str) -> Playbook:
    """The playbook in `text`, or `PlaybookError` with source, line and what is wrong there.

    Refused: unknown and repeated keys, wrong types (nothing is converted), anchors, aliases and
    tags, a hole without a parameter, a parameter without a hole, a hole inside a longer text for
    anything but a name or an integer, and a step whose arguments its action does not know.
    """
    document = read_yaml(text, source)
    if not isinstance(document.value, dict):
        raise PlaybookError(source, 1, "a playbook is a mapping")
    if place := next(_open_places(document.value), None):
        problem = f"{'.'.join(map(str, place))} is still to be filled in ({FILL_IN})"
        raise PlaybookError(source, document.line(place), problem)
    try:
        playbook = Playbook.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        raise _explained(error, document, source) from error
    _check_parameters(playbook, document, source)
    _check_steps(playbook, document, source)
    return playbook


def _open_places(value: JsonValue, place: YamlPath = ()) -> Iterator[YamlPath]:
    if isinstance(value, str) and FILL_IN in value:
        yield place
    inner = value.items() if isinstance(value, dict) else ()
    for key, item in inner if not isinstance(value, list) else enumerate(value):
        yield from _open_places(item, (*place, key))


def schema() -> dict[str, JsonValue]:
    """The JSON Schema of a playbook file, for editors."""
    found: dict[str, JsonValue] = Playbook.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _explained(error: ValidationError, document: YamlDocument, source: str) -> PlaybookError:
    first = error.errors(include_url=False)[0]
    place: YamlPath = tuple(first["loc"])
    path = ".".join(str(part) for part in place)
    return PlaybookError(source, document.line(place), f"{path}: {first['msg']}")


def _places(playbook: Playbook) -> Iterator[tuple[YamlPath, JsonValue]]:
    """Every value of the playbook that may have holes, with its place."""
    for part in ("title", "expected_effect"):
        for language in ("en", "zh"):
            yield (part, language), getattr(getattr(playbook, part), language)
    yield ("blast_radius", "notice", "en"), playbook.blast_radius.notice.en
    yield ("blast_radius", "notice", "zh"), playbook.blast_radius.notice.zh
    yield ("lock",), playbook.lock
    for part, steps in (("steps", playbook.steps), ("rollback", playbook.rollback)):
        for index, step in enumerate(steps):
            yield from _step_places(step, (part, index))
            for look, one in enumerate(step.canary):
                yield from _step_places(one, (part, index, "canary", look))
    for index, check in enumerate(playbook.verification.checks):
        yield ("verification", "checks", index, "owner"), check.owner


def _step_places(step: PlaybookStep, place: YamlPath) -> Iterator[tuple[YamlPath, JsonValue]]:
    yield (*place, "title", "en"), step.title.en
    yield (*place, "title", "zh"), step.title.zh
    yield (*place, "target"), step.target
    yield (*place, "arguments"), step.arguments


def _check_parameters(playbook: Playbook, document: YamlDocument, source: str) -> None:
    declared = {parameter.name: parameter for parameter in playbook.parameters}
    if len(declared) < len(playbook.parameters):
        line = document.line(("parameters",))
        raise PlaybookError(source, line, "two parameters have the same name")
    used: set[str] = set()
    for place, value in _places(playbook):
        line = document.line(place)
        try:
            found = list(holes(value))
        except ValueError as error:
            raise PlaybookError(source, line, str(error)) from error
        for name, alone in found:
            if name not in declared:
                raise PlaybookError(source, line, f"${{{name}}} is not a declared parameter")
            if not alone and declared[name].type not in ("name", "names", "integer"):
                problem = f"${{{name}}} of type {declared[name].type!r} cannot stand inside a text"
                raise PlaybookError(source, line, problem)
            used.add(name)
    for index, parameter in enumerate(playbook.parameters):
        if parameter.name not in used:
            line = document.line(("parameters", index))
            raise PlaybookError(source, line, f"parameter {parameter.name!r} is never used")


def _check_steps(playbook: Playbook, document: YamlDocument, source: str) -> None:
    sample: dict[str, Scalar] = {}
    for index, parameter in enumerate(playbook.parameters):
        try:
            sample[parameter.name] = checked(parameter, _sample(parameter))
        except (ValueError, re.error) as error:
            line = document.line(("parameters", index))
            raise PlaybookError(source, line, f"parameter {parameter.name!r}: {error}") from error
    for part, steps in (("steps", playbook.steps), ("rollback", playbook.rollback)):
        for index, step in enumerate(steps):
            try:
                _check_each(playbook, step, sample)
                filled_steps(playbook, (step,), sample)
            except ParameterError as error:
                line = document.line((part, index, "arguments"))
                raise PlaybookError(source, line, error.problem) from error


def _check_each(playbook: Playbook, step: PlaybookStep, sample: Mapping[str, Scalar]) -> None:
    """Names are for `each` of them, and what runs after the first of them only reads."""
    many = {parameter.name for parameter in playbook.parameters if parameter.type == "names"}
    if step.each and step.each not in many:
        raise ParameterError(playbook.id, "each", f"{step.each!r} is no parameter of type names")
    here = {hole for hole, _ in holes([step.arguments, step.target])}
    if step.each and step.each not in here:
        problem = f"${{{step.each}}} is not in its arguments: the same would be done for each"
        raise ParameterError(playbook.id, "each", problem)
    looks: list[JsonValue] = [[one.arguments, one.target] for one in step.canary]
    if lost := (here | {hole for hole, _ in holes(looks)}) & many - {step.each}:
        problem = f"${{{min(lost)}}} is many names: the step needs `each: {min(lost)}`"
        raise ParameterError(playbook.id, "each", problem)
    for look in filled_steps(playbook, (step,), sample)[1 : 1 + len(step.canary)]:
        if not reads(look):
            raise ParameterError(playbook.id, "canary", f"{look.title!r} does more than read")


def _sample(parameter: Parameter) -> Scalar:
    """Some value the parameter allows, to see whether the steps have the right shape."""
    if parameter.default is not None:
        return parameter.default
    if parameter.allowed:
        return parameter.allowed[0]
    if parameter.type == "integer":
        return int(parameter.minimum or 0)
    if parameter.type == "number":
        return float(parameter.minimum or 0.0)
    return parameter.type == "boolean" or "name"
