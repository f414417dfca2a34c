"""How jobs of a system are started, followed, cancelled and read: declared in YAML, by HTTP.

`knowledge_base/jobs` holds the shipped systems; the runners file may name a file of the operator's
own. A text of a request may have holes: `${parameters}` (a mapping; `${texts}` with every value as
text, `${lists}` as a list of one, `${variables}` as a list of key and value, `${json}` as JSON),
`${id}` and `${ticket}` of the job, `${key}` of the step (`${uuid}` made of it), and the names of
`of`. Expressions are JMESPath (jmespath.org) over the answer.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, JsonValue, ValidationError, model_validator

from tools.playbook_executor import PlaybookError
from tools.playbook_executor.parameters import HOLE, checked
from tools.playbook_executor.parse import read_yaml
from tools.playbook_executor.vocabulary import ResourceName
from tools.types import FrozenModel, Parameter, Scalar, Text

_HOLES = frozenset(
    ("parameters", "texts", "lists", "variables", "json", "id", "ticket", "key", "uuid")
)
JobState = Literal["queued", "running", "succeeded", "failed"]


def _expression(text: str) -> str:
    try:
        jmespath.compile(HOLE.sub("key", text))
    except JMESPathError as error:
        raise ValueError(f"{text!r} is no JMESPath: {error}") from error
    return text


JmesPath = Annotated[str, AfterValidator(_expression)]


class JobRequest(FrozenModel):
    """One request: `METHOD /path`, what goes with it, and the statuses that are an answer."""

    call: str = Field(pattern=r"^(GET|POST|PUT|DELETE) /[A-Za-z0-9._~/${}-]*$", max_length=200)
    query: dict[str, Scalar] = Field(default_factory=dict)
    body: JsonValue = None
    form: JsonValue = None
    headers: dict[str, str] = Field(default_factory=dict)
    expect: tuple[int, ...] = (200,)


class JobProbe(JobRequest):
    """Whether the job is there, and by `takes` whether it takes the parameters it is given."""

    takes: JmesPath | None = None


class JobStart(JobRequest):
    """The start: the job's id is in the answer, its place in a queue in `Location`, or it is known
    by the parameter `named`.
    """

    id: JmesPath | None = None
    location: str = ""
    named: str = ""

    @model_validator(mode="after")
    def _names_the_job(self) -> Self:
        places = [place for place in (self.id, self.location, self.named) if place]
        if len(places) != 1 or re.compile(self.location).groups > 1:
            raise ValueError("needs one of `id`, `named` and `location`, a pattern with one group")
        return self


class JobQueue(JobRequest):
    """What a place in the queue became: the id once it runs, or why it never will."""

    id: JmesPath
    lost: JmesPath | None = None


class JobSearch(JobRequest):
    """A job by the key it was started with, where the answer to its start was not seen."""

    id: JmesPath


class JobStatus(JobRequest):
    """How far a job is: the word at `state`, and what each word means."""

    state: JmesPath
    reason: JmesPath | None = None
    queued: tuple[str, ...] = ()
    running: tuple[str, ...] = Field(min_length=1)
    succeeded: tuple[str, ...] = Field(min_length=1)
    failed: tuple[str, ...] = ()

    def meaning(self, word: str) -> JobState | None:
        """What a word of the system means; None for one that is not declared."""
        states: tuple[JobState, ...] = ("queued", "running", "succeeded", "failed")
        return next((state for state in states if word in getattr(self, state)), None)


class JobLog(JobRequest):
    """What the job wrote: the answer itself, or the lines at `text`."""

    text: JmesPath | None = None


class JobSystem(FrozenModel):
    """A system that runs jobs. `of` are the values that say which job it is, `takes` the parameters
    that its requests name.

    `keyed`: how a job whose start was not answered is found again: by a parameter of its own that
    takes the step's key (the runners file names it), always, or by starting it once more, which the
    system takes for the same start.
    """

    title: Text
    of: tuple[ResourceName, ...]
    takes: tuple[ResourceName, ...] = ()
    token_as: str = Field(pattern=r"^[A-Za-z0-9-]{1,60}$")
    every_s: float = Field(ge=1, le=60)
    keyed: Literal["by_parameter", "always", "idempotent"] = "by_parameter"
    probe: JobProbe
    start: JobStart
    queue: JobQueue | None = None
    find: JobSearch | None = None
    status: JobStatus
    log: JobLog | None = None
    cancel: JobRequest
    cancel_queued: JobRequest | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.start.location) != (self.queue is not None):
            raise ValueError("`start.location` and `queue` belong together")
        if self.keyed == "always" and self.find is None:
            raise ValueError("`keyed: always` needs `find`")
        known = _HOLES | {*self.of, *self.takes}
        if self.start.named and self.start.named not in self.takes:
            raise ValueError(f"`start.named`: {self.start.named!r} is none of `takes`")
        for hole in HOLE.findall(self.model_dump_json()):
            if hole not in known:
                raise ValueError(
                    f"${{{hole}}} stands for nothing; there are {', '.join(sorted(known))}"
                )
        return self


class JobParameter(FrozenModel):
    """What a parameter of a job may be: a token, a number within bounds, one of these."""

    type: Literal["name", "names", "text", "integer", "number", "boolean"]
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    allowed: tuple[Scalar, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self._declared()
        return self

    def _declared(self) -> Parameter:
        unnamed = Text(en="value", zh="值")
        default = "" if self.pattern else None
        given = self.model_dump()
        return Parameter(name="value", title=unnamed, source="component", default=default, **given)

    def checked(self, value: object) -> Scalar:
        """The value, if it fits; `ValueError` with what is wrong."""
        return checked(self._declared(), value)


@cache
def job_system(name: str) -> JobSystem:
    """A shipped system by its name, or the file at an absolute path; `ValueError` if unfit."""
    shipped = files("knowledge_base").joinpath("jobs")
    names = sorted(one.name.removesuffix(".yaml") for one in shipped.iterdir())
    if name not in names and not Path(name).is_absolute():
        raise ValueError(f"{name!r} is no system; there are {', '.join(names)}, or a file's path")
    try:
        place = shipped.joinpath(f"{name}.yaml") if name in names else Path(name)
        document = read_yaml(place.read_text(encoding="utf-8"), name).value
        return JobSystem.model_validate(document)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{name}: {key}: {first['msg']}") from error
    except PlaybookError as error:
        raise ValueError(str(error)) from error


def searched(expression: str | None, document: object) -> object:
    """What a JMESPath finds in an answer; None where it finds nothing or does not fit it."""
    if expression is None:
        return None
    try:
        found: object = jmespath.search(expression, document)
    except JMESPathError:
        return None
    return found


def holes_of(values: Mapping[str, Scalar]) -> dict[str, JsonValue]:
    """The forms in which a request may take a job's parameters."""
    texts: dict[str, JsonValue] = {name: _text(value) for name, value in values.items()}
    return {
        "parameters": dict(values),
        "texts": texts,
        "lists": {name: [value] for name, value in texts.items()},
        "variables": [{"key": name, "value": value} for name, value in texts.items()],
    }


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
