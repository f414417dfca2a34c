"""Ask a model for one value: parse it, check it against the facts, repair once, or go without.

A reply is a claim. It counts when it fits its schema and `check` finds nothing wrong with it; else
the model is shown what was wrong, once. Whoever asked has the deterministic answer at hand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from copilot.ports import Model, ModelError, ModelFault
from copilot.types.model_io import Message, ModelRequest, Piece, ReplyEnd
from prompts import Language, load
from tools.log_retriever import redact

ReplyT = TypeVar("ReplyT", bound=BaseModel)

SHOWN_PROBLEMS = 12
"""Most problems of a reply that it is sent back with; the first ones usually cause the rest."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request as it went: the reply as it came, what was wrong with it, and what it cost."""

    reply: str
    problems: tuple[str, ...]
    done: ReplyEnd | None


@dataclass(frozen=True, slots=True)
class ModelResult(Generic[ReplyT]):
    """What came of asking: the value, or None with the reason; and every call it took.

    `fault` is why no whole reply came, where that is why there is no value.
    """

    value: ReplyT | None
    reason: str
    calls: tuple[ModelCall, ...]
    fault: ModelFault | None = None

    @property
    def repaired(self) -> bool:
        """Whether the first reply was wrong and the second was not."""
        return self.value is not None and len(self.calls) > 1


def ask(
    model: Model,
    request: ModelRequest,
    shape: type[ReplyT],
    check: Callable[[ReplyT], Sequence[str]],
    language: Language = "en",
) -> ModelResult[ReplyT]:
    """One value of `shape` for which `check` returns no problem, after one repair at most.

    A request may bring a narrower schema than that of `shape`.
    """
    schema = request.reply_schema or shape.model_json_schema()
    request = request.model_copy(update={"reply_schema": schema})
    calls: list[ModelCall] = []
    for _attempt in range(2):
        try:
            text, done = _whole(model, request)
        except ModelError as error:
            tried = (*calls, ModelCall("", (error.problem,), None))
            return ModelResult(None, str(error), tried, error.fault)
        value, problems = _judged(text, shape, check, done)
        calls.append(ModelCall(text, problems, done))
        if value is not None and not problems:
            return ModelResult(value, "", tuple(calls))
        request = _again(request, text, problems, language)
    said = "; ".join(calls[-1].problems)
    return ModelResult(None, f"the model's reply did not hold: {said}", tuple(calls))


def _whole(model: Model, request: ModelRequest) -> tuple[str, ReplyEnd]:
    pieces: list[str] = []
    for event in model.stream(request):
        if isinstance(event, Piece):
            pieces.append(event.text)
        elif isinstance(event, ReplyEnd):
            return redact("".join(pieces)), event
    raise ModelError("broken", "the reply ended without its last word")


def _judged(
    text: str, shape: type[ReplyT], check: Callable[[ReplyT], Sequence[str]], done: ReplyEnd
) -> tuple[ReplyT | None, tuple[str, ...]]:
    if not text.strip():
        return None, ("the reply is empty",)
    try:
        value = shape.model_validate_json(_unfenced(text))
    except ValidationError as error:
        cut = ("the reply was cut at its longest; say less",) if done.reason == "length" else ()
        return None, cut + tuple(map(_validation_problem, error.errors()[:SHOWN_PROBLEMS]))
    return value, tuple(check(value))[:SHOWN_PROBLEMS]


def _validation_problem(error: object) -> str:
    assert isinstance(error, dict)
    where = ".".join(map(str, error["loc"])) or "the reply"
    return f"{where}: {error['msg']}"


def _unfenced(text: str) -> str:
    """The JSON of a reply that put it into a Markdown fence, as models do in spite of a schema."""
    stripped = text.strip()
    if stripped.startswith("```"):
        stripped = stripped.partition("\n")[2].rpartition("```")[0]
    return stripped


def _again(
    request: ModelRequest, reply: str, problems: Sequence[str], language: Language
) -> ModelRequest:
    told = load("repair", language).render(problems=list(problems))
    more = (
        Message(role="assistant", content=reply[:4000] or "(empty)"),
        Message(role="user", content=told),
    )
    return request.model_copy(update={"messages": (*request.messages, *more)})
