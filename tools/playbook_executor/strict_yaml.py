"""YAML as plain data: one document, no anchors, aliases or tags, no repeated key, no surprises.

A value is a mapping with text keys, a list, text, a decimal number, true, false or null. What
YAML 1.1 would read as a date, an octal number or a `yes` is text here.
"""

import re
from dataclasses import dataclass, field

import yaml
from pydantic import JsonValue

from tools.playbook_executor.errors import PlaybookError

MAX_CHARACTERS = 65_536
MAX_DEPTH = 12

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


def read(text: str, source: str) -> YamlDocument:
    """Read one document or raise `PlaybookError` with the line of what is not plain data.

    >>> read("a: [1, 'two', on]", "example").value
    {'a': [1, 'two', 'on']}
    """
    if len(text) > MAX_CHARACTERS:
        raise PlaybookError(source, 1, f"longer than {MAX_CHARACTERS} characters")
    try:
        _refuse_clever_events(text, source)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise PlaybookError(source, line, f"{error.problem}") from error
    except yaml.YAMLError as error:
        raise PlaybookError(source, 1, f"not YAML: {error}") from error
    if root is None:
        raise PlaybookError(source, 1, "empty document")
    lines: dict[YamlPath, int] = {}
    return YamlDocument(_value(root, source, (), lines), lines)


def _refuse_clever_events(text: str, source: str) -> None:
    depth = documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
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
    return node.value if node.style is not None else _scalar(node.value)


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
