"""Switch what stands behind an HTTP API, as `switch_apis.toml` describes it.

Source: the documents that are named there; JSON pointers by RFC 6901.
"""

import base64
import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from copilot.hands.credentials import HttpBase
from copilot.hands.http import HttpCaller
from copilot.hands.report import StepFailedError
from copilot.hands.switch import ApiAddress, SwitchConflictError, SwitchPosition, same
from tools.playbook_executor.parameters import substitute, text
from tools.types import FrozenModel, Scalar

TIMEOUT_S = 10.0
_VALUE = re.compile(r"[A-Za-z0-9._/@:+-]{0,200}")


class ApiCall(FrozenModel):
    """A request with holes, and what it has to be answered."""

    method: Literal["GET", "POST", "PUT", "PATCH"] = "GET"
    path: str
    query: dict[str, JsonValue] = Field(default_factory=dict)
    headers: dict[str, str] = Field(default_factory=dict)
    body: JsonValue = None
    form: dict[str, str] | None = None
    text: str | None = None
    answer: dict[str, JsonValue] = Field(default_factory=dict)
    conflict: tuple[int, ...] = ()


class ApiDeclaration(FrozenModel):
    """How a product's API is read and written."""

    needs: tuple[str, ...]
    token_as: str = "bearer"
    read: ApiCall
    value: str | None = None
    encoding: Literal["", "base64"] = ""
    version: str | None = None
    write: tuple[ApiCall, ...]


def declarations() -> Mapping[str, ApiDeclaration]:
    """The products that are described."""
    text = (Path(__file__).parent / "switch_apis.toml").read_text(encoding="utf-8")
    return {name: ApiDeclaration.model_validate(one) for name, one in tomllib.loads(text).items()}


class ApiSwitch:
    """A value behind an API; what fills the holes of its calls comes from the runners file."""

    def __init__(
        self,
        at: ApiAddress,
        base: HttpBase | None,
        caller: HttpCaller,
        known: Mapping[str, ApiDeclaration],
    ) -> None:
        if at.of not in known:
            raise StepFailedError(f"of: {at.of!r} is none of {', '.join(known)}")
        how = known[at.of]
        if base is None:
            raise StepFailedError(f"api.base: there is no [http.{at.base}]")
        if base.secret and base.token_as.lower() != how.token_as.lower():
            problem = f'{at.of} wants token_as = "{how.token_as}"'
            raise StepFailedError(f"[http.{at.base}]: {problem}")
        if set(at.values) != set(how.needs):
            raise StepFailedError(f"values: {at.of} needs {', '.join(how.needs)}, and no other")
        for name, value in at.values.items():
            if not _VALUE.fullmatch(value) or ".." in value:
                raise StepFailedError(f"values.{name}: {value[:80]!r} is no plain name or path")
        self._at, self._how, self._caller = at, how, caller

    def position(self) -> SwitchPosition:
        """What the API says it is, as it stands in the states."""
        holes = self._filling({})
        said = self._asked(self._how.read, holes)
        if self._how.value is None:
            return SwitchPosition(said)
        document = _document(said)
        value = _led(document, self._how.value, holes)
        if self._how.encoding == "base64" and isinstance(value, str):
            value = _decoded(value)
        version = _led(document, self._how.version, holes) if self._how.version else None
        return SwitchPosition(value, version)

    def holds(self, value: JsonValue, state: JsonValue) -> bool:
        """Equal; a state is a text, a number, true or false."""
        if not isinstance(state, str | int | float | bool):
            raise StepFailedError(f"{self._at.of}: a state is a text, a number, true or false")
        return same(value, state)

    def move(self, at: SwitchPosition, state: JsonValue) -> None:
        """The calls of a change, in order."""
        holes = self._filling({"seen": at.value, "version": at.version, "state": state})
        for number, call in enumerate(self._how.write):
            try:
                said = self._asked(call, holes)
                wrong = [
                    pointer
                    for pointer, wanted in call.answer.items()
                    if not same(_led(_document(said), pointer, holes), wanted)
                ]
                if wrong:
                    raise SwitchConflictError(f"{self._at.told}: {call.method} answered {said}")
            except StepFailedError as error:
                if not number:
                    raise
                done = f"{number} of {len(self._how.write)} calls were done"
                raise StepFailedError(str(error), done) from error

    def forbidden(self, at: SwitchPosition, state: JsonValue) -> str:
        """Nothing is known before it is tried."""
        return ""

    def _filling(self, more: Mapping[str, JsonValue]) -> Mapping[str, Scalar]:
        found: dict[str, Scalar] = {}
        for name, value in {**self._at.values, **more}.items():
            if not isinstance(value, str | int | float | bool):
                continue
            raw = str(value).encode()
            found[name] = value
            found[f"{name}_base64"] = base64.b64encode(raw).decode()
            found[f"{name}_md5"] = hashlib.md5(raw, usedforsecurity=False).hexdigest()
        if isinstance(more.get("state"), bool):
            found["on_off"] = "on" if more["state"] else "off"
        return found

    def _asked(self, call: ApiCall, holes: Mapping[str, Scalar]) -> str:
        """The body of a good answer; `StepFailedError` for any other."""
        form = {name: text(value, holes) for name, value in (call.form or {}).items()}
        try:
            answer = self._caller.send(
                self._at.base,
                call.method,
                text(call.path, holes),
                timeout_s=TIMEOUT_S,
                query={text(key, holes): substitute(one, holes) for key, one in call.query.items()},
                body=substitute(call.body, holes),
                form=form or None,
                content=text(call.text, holes) if call.text is not None else None,
                headers={name: text(value, holes) for name, value in call.headers.items()},
            )
        except KeyError as error:
            raise StepFailedError(f"{self._at.told}: no value for {error}") from error
        if answer.status in call.conflict:
            raise SwitchConflictError(f"{self._at.told} was changed meanwhile")
        if not 200 <= answer.status < 300:
            said = f"{self._at.told}: {call.method} answered {answer.status}"
            raise StepFailedError(said, answer.body)
        return answer.body


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError as error:
        raise StepFailedError(f"{value[:80]!r} is no text in base64") from error


def _document(said: str) -> JsonValue:
    try:
        found: JsonValue = json.loads(said)
    except ValueError as error:
        raise StepFailedError(f"the answer is no JSON: {said[:80]!r}") from error
    return found


def _led(document: JsonValue, pointer: str, holes: Mapping[str, Scalar]) -> JsonValue:
    """What the pointer leads to, or None, which no state is.

    A part of it is filled after it was cut, so that a value may hold a slash.
    """
    for part in pointer.split("/")[1:]:
        key = text(part.replace("~1", "/").replace("~0", "~"), holes)
        if isinstance(document, dict):
            document = document.get(key)
        elif isinstance(document, list) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        else:
            return None
    return document
