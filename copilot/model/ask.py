"""Ask a model for one value: parse it, keep what holds of it, ask once more, or go without.

A reply is a claim. It counts as far as it fits its schema and the facts; where nothing of it holds
the model is told what was wrong, once. Whoever asked has the deterministic answer at hand.
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
class ReplyCheck(Generic[ReplyT]):
    """What holds of a reply, None if nothing does, and every problem of the rest."""

    kept: ReplyT | None
    problems: tuple[str, ...] = ()


def all_or_nothing(
    problems: Callable[[ReplyT], Sequence[str]],
) -> Callable[[ReplyT], ReplyCheck[ReplyT]]:
    """Return a check that keeps a reply only if nothing is wrong with it."""

    def check(reply: ReplyT) -> ReplyCheck[ReplyT]:
        found = tuple(problems(reply))
        return ReplyCheck(None if found else reply, found)

    return check


UNHELD = "the model's reply did not hold"
"""How the reason begins where whole replies came; what follows is what was wrong in the last."""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request as it went: the reply as it came, what was wrong in it, and what it cost."""

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
        """Whether nothing of the first reply held, and something of the second did."""
        return self.value is not None and len(self.calls) > 1


def ask(
    model: Model,
    request: ModelRequest,
    shape: type[ReplyT],
    check: Callable[[ReplyT], ReplyCheck[ReplyT]],
    language: Language = "en",
    attempts: int = 2,
) -> ModelResult[ReplyT]:
    """What `check` keeps of a value of `shape`, after one repair at most; `attempts` 1: none.

    A request may bring a narrower schema than that of `shape`.
    """
    schema = request.reply_schema or shape.model_json_schema()
    request = request.model_copy(update={"reply_schema": schema})
    calls: list[ModelCall] = []
    for _attempt in range(attempts):
        try:
            text, done = _whole(model, request)
        except ModelError as error:
            tried = (*calls, ModelCall("", (error.problem,), None))
            return ModelResult(None, str(error), tried, error.fault)
        found = _judged(text, shape, check, done)
        calls.append(ModelCall(text, found.problems, done))
        if found.kept is not None:
            return ModelResult(found.kept, "", tuple(calls))
        request = _again(request, found.problems, language)
    said = "; ".join(calls[-1].problems)
    return ModelResult(None, f"{UNHELD}: {said}", tuple(calls))


def _whole(model: Model, request: ModelRequest) -> tuple[str, ReplyEnd]:
    pieces: list[str] = []
    for event in model.stream(request):
        if isinstance(event, Piece):
            pieces.append(event.text)
        elif isinstance(event, ReplyEnd):
            return redact("".join(pieces)), event
    raise ModelError("broken", "the reply ended without its last word")


def _judged(
    text: str,
    shape: type[ReplyT],
    check: Callable[[ReplyT], ReplyCheck[ReplyT]],
    done: ReplyEnd,
) -> ReplyCheck[ReplyT]:
    if not text.strip():
        return ReplyCheck(None, ("the reply is empty",))
    try:
        value = shape.model_validate_json(_unfenced(text))
    except ValidationError as error:
        cut = ("the reply was cut at its longest; say less",) if done.reason == "length" else ()
        wrong = tuple(map(_validation_problem, error.errors()[:SHOWN_PROBLEMS]))
        return ReplyCheck(None, cut + wrong)
    found = check(value)
    return ReplyCheck(found.kept, found.problems[:SHOWN_PROBLEMS])


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


def _again(request: ModelRequest, problems: Sequence[str], language: Language) -> ModelRequest:
    """Ask afresh, with what to avoid: a model that is shown its own reply repeats it."""
    told = load("repair", language).render(problems=list(problems))
    *before, question = request.messages
    asked = Message(role=question.role, content=f"{question.content}\n\n{told}")
    return request.model_copy(update={"messages": (*before, asked), "attempt": request.attempt + 1})
