"""Read a playbook from YAML: strict, and complete enough that filling can only fail on values."""

import json
import re
from collections.abc import Iterator

from pydantic import JsonValue, ValidationError

from tools.playbook_executor.errors import ParameterError, PlaybookError
from tools.playbook_executor.fill import filled_steps
from tools.playbook_executor.parameters import checked
from tools.playbook_executor.strict_yaml import YamlDocument, YamlPath, read
from tools.playbook_executor.substitute import holes
from tools.types import Parameter, Playbook, Scalar


def parse(text: str, source: str) -> Playbook:
    """The playbook in `text`, or `PlaybookError` with source, line and what is wrong there.

    Refused: unknown and repeated keys, wrong types (nothing is converted), anchors, aliases and
    tags, a hole without a parameter, a parameter without a hole, a hole inside a longer text for
    anything but a name or an integer, and a step whose arguments its action does not know.
    """
    document = read(text, source)
    if not isinstance(document.value, dict):
        raise PlaybookError(source, 1, "a playbook is a mapping")
    try:
        playbook = Playbook.model_validate_json(json.dumps(document.value), strict=True)
    except ValidationError as error:
        raise _explained(error, document, source) from error
    _check_parameters(playbook, document, source)
    _check_steps(playbook, document, source)
    return playbook


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
    for field in ("title", "expected_effect"):
        for language in ("en", "zh"):
            yield (field, language), getattr(getattr(playbook, field), language)
    yield ("blast_radius", "notice", "en"), playbook.blast_radius.notice.en
    yield ("blast_radius", "notice", "zh"), playbook.blast_radius.notice.zh
    yield ("lock",), playbook.lock
    for field, steps in (("steps", playbook.steps), ("rollback", playbook.rollback)):
        for index, step in enumerate(steps):
            yield (field, index, "title", "en"), step.title.en
            yield (field, index, "title", "zh"), step.title.zh
            yield (field, index, "target"), step.target
            yield (field, index, "arguments"), step.arguments
    for index, check in enumerate(playbook.verification.checks):
        yield ("verification", "checks", index, "owner"), check.owner


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
            if not alone and declared[name].type not in ("name", "integer"):
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
    for field, steps in (("steps", playbook.steps), ("rollback", playbook.rollback)):
        for index, step in enumerate(steps):
            try:
                filled_steps(playbook, (step,), sample)
            except ParameterError as error:
                line = document.line((field, index, "arguments"))
                raise PlaybookError(source, line, error.problem) from error


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
