"""Silences of Alertmanager's API: declared, changed, ended and told."""

from uuid import UUID

from pydantic import Field, JsonValue, StrictBool, StrictStr, ValidationError

from copilot.alerts.formats.document import decoded
from copilot.alerts.formats.errors import MalformedError, from_validation
from copilot.alerts.formats.fields import CleanName, CleanText, Moment, Payload
from copilot.store import SilenceState, StoredSilence, UnknownSilenceError
from copilot.surfaces.service.alertmanager.errors import (
    BAD_TYPE,
    REQUIRED,
    TOO_FEW,
    ApiRefusalError,
    filters,
    first_line,
    unreadable,
)
from copilot.surfaces.service.ports import ServiceEngine
from copilot.surfaces.service.rights import Caller
from copilot.types.time_format import iso_millis
from tools.clusterer import Matcher, Silence, expression_fault
from tools.types import Timestamp

NOBODY = "unnamed"
"""Who changed a silence where the request does not say it."""

_ORDER: dict[SilenceState, int] = {"active": 1, "pending": 2, "expired": 3}


class PostedMatcher(Payload):
    """A matcher as amtool sends it."""

    is_equal: StrictBool | None = Field(default=None, alias="isEqual")
    is_regex: StrictBool | None = Field(default=None, alias="isRegex")
    name: StrictStr | None = None
    value: StrictStr | None = None


class PostedSilence(Payload):
    """A silence as amtool sends it; an empty `id` is a new one."""

    id: StrictStr | None = None
    comment: CleanText | None = None
    created_by: CleanName | None = Field(default=None, alias="createdBy")
    ends_at: Moment = Field(default=None, alias="endsAt")
    matchers: tuple[PostedMatcher, ...] | None = None
    starts_at: Moment = Field(default=None, alias="startsAt")


def declared(engine: ServiceEngine, content: bytes, caller: Caller) -> str:
    """Declare or change a silence; the id of the one in force from now on.

    Who did is the caller, where people have accounts: `createdBy` is only somebody's word.
    """
    now = engine.now()
    wanted = _read(content, now)
    if not caller.declared:
        wanted = wanted.model_copy(update={"created_by": caller.name})
    if wanted.starts_at >= wanted.ends_at:
        said = "Failed to create silence: start time must be before end time"
        raise ApiRefusalError(400, said)
    if wanted.ends_at < now:
        raise ApiRefusalError(400, "Failed to create silence: end time can't be in the past")
    try:
        kept = engine.store.silences.set(wanted, now)
    except UnknownSilenceError as problem:
        raise ApiRefusalError(404, str(problem)) from problem
    engine.heed()
    return kept.silence.id


def expired(engine: ServiceEngine, silence_id: str, caller: Caller) -> None:
    """End a silence; one that is over stays as it is."""
    by = NOBODY if caller.declared else caller.name
    try:
        engine.store.silences.expire(_uuid(silence_id), by, engine.now())
    except UnknownSilenceError as problem:
        raise ApiRefusalError(404, str(problem)) from problem
    engine.heed()


def shown(engine: ServiceEngine, silence_id: str) -> dict[str, JsonValue] | None:
    """One silence, None where there is none of that id."""
    found = engine.store.silences.get(_uuid(silence_id))
    return None if found is None else _document(found, engine.now())


def listed(engine: ServiceEngine, texts: list[str]) -> list[dict[str, JsonValue]]:
    """Silences that have each of these matchers: in force, to come, over; the next to change first.

    Order and meaning of the filter: `SortSilences` and `CheckSilenceMatchesFilterLabels` there.
    """
    wanted, now = filters(texts), engine.now()
    found = [
        one
        for one in engine.store.silences.all()
        if all(matcher in one.silence.matchers for matcher in wanted)
    ]
    found.sort(key=lambda one: _turn(one, now))
    return [_document(one, now) for one in found]


def _turn(one: StoredSilence, now: Timestamp) -> tuple[int, float]:
    state = one.state(now)
    at = {
        "active": one.silence.ends_at,
        "pending": one.silence.starts_at,
        "expired": -one.silence.ends_at,
    }
    return _ORDER[state], at[state]


def _read(content: bytes, now: Timestamp) -> Silence:
    try:
        document = decoded(content)
        posted = PostedSilence.model_validate(document)
    except MalformedError as problem:
        raise unreadable("silence", problem) from problem
    except ValidationError as problem:
        raise unreadable("silence", from_validation(problem)) from problem
    _check_required(posted, document)
    matchers = tuple(_matcher(one, at) for at, one in enumerate(posted.matchers or ()))
    try:
        return Silence(
            id=posted.id or "",
            matchers=matchers,
            # A zero start is now, a zero end is long past: both as there.
            starts_at=now if posted.starts_at is None else posted.starts_at,
            ends_at=posted.ends_at or 0.0,
            created_by=posted.created_by or "",
            comment=posted.comment or "",
        )
    except ValidationError as problem:
        said = first_line(problem)
        if said.startswith("end time"):
            said = "start time must be before end time"
            raise ApiRefusalError(400, f"Failed to create silence: {said}") from problem
        raise ApiRefusalError(400, f"invalid silence: {said}") from problem


def _check_required(posted: PostedSilence, document: object) -> None:
    """The first thing that is missing, in the order of the real one."""
    given = document if isinstance(document, dict) else {}
    for name in ("comment", "createdBy", "endsAt", "matchers", "startsAt"):
        if given.get(name) is None:
            raise ApiRefusalError(422, f"{name} in body is required", REQUIRED)
        if name != "matchers":
            continue
        if not posted.matchers:
            raise ApiRefusalError(422, "matchers in body should have at least 1 items", TOO_FEW)
        for position, one in enumerate(posted.matchers):
            parts = {"isRegex": one.is_regex, "name": one.name, "value": one.value}
            missing = next((part for part, value in parts.items() if value is None), None)
            if missing is not None:
                said = f"matchers.{position}.{missing} in body is required"
                raise ApiRefusalError(422, said, REQUIRED)


def _matcher(posted: PostedMatcher, position: int) -> Matcher:
    where = f"invalid silence: invalid label matcher {position}"
    name, value = posted.name or "", posted.value or ""
    if not name.strip():
        raise ApiRefusalError(400, f'{where}: invalid label name "{name}"')
    fault = expression_fault(value) if posted.is_regex else ""
    if fault:
        said = f'{where}: invalid regular expression "{value}": error parsing regexp: {fault}'
        raise ApiRefusalError(400, said)
    equal = posted.is_equal is not False
    return Matcher.flagged(name, value, regex=bool(posted.is_regex), equal=equal)


def _document(kept: StoredSilence, now: Timestamp) -> dict[str, JsonValue]:
    silence = kept.silence
    return {
        "id": silence.id,
        "status": {"state": kept.state(now)},
        "updatedAt": iso_millis(kept.updated_at),
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": iso_millis(silence.ends_at),
        "matchers": [
            {"isEqual": equal, "isRegex": regex, "name": matcher.label, "value": matcher.value}
            for matcher in silence.matchers
            for regex, equal in (matcher.flags,)
        ],
        "startsAt": iso_millis(silence.starts_at),
    }


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError as problem:
        said = f'silenceID in path must be of type uuid: "{text}"'
        raise ApiRefusalError(422, said, BAD_TYPE) from problem
