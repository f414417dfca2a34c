"""understand: by rules what a question needs; then what more the model wants to see."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, TypedDict, Union

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field, JsonValue, create_model

from copilot.model import ask
from copilot.surfaces.chat.calls import ToolRequest
from copilot.surfaces.chat.ledger import Ledger, opened
from copilot.surfaces.chat.report import AnswerPart
from copilot.surfaces.chat.session import ChatState, Progress, Session
from copilot.surfaces.chat.showing import answer_request
from copilot.surfaces.chat.tools import TOOLS
from copilot.surfaces.chat.understand import Understanding, understood
from prompts import Language, load
from tools.types import FrozenModel


class UnderstandUpdate(TypedDict):
    understanding: Understanding
    waiting: list[ToolRequest]
    rounds: int
    trouble: str


def understand(state: ChatState, runtime: Runtime[Session]) -> UnderstandUpdate:
    """The rules' calls first; a model sees what they found before it asks for more."""
    session = runtime.context
    session.heed()
    known = state.get("understanding")
    if known is None:
        recent = next(
            (t.answer.services for t in reversed(session.turns) if t.answer and t.answer.services),
            (),
        )
        known = understood(state["turn"].question, session.scope, session.language, recent)
        if known.calls or not asks_model(session, known):
            return UnderstandUpdate(
                understanding=known, waiting=[*known.calls], rounds=0, trouble=""
            )
    assert session.model is not None
    session.tell(Progress(step="model", name=session.model.name, said="tools"))
    ledger = state.get("ledger") or opened(session.scope.incident, session.turns)
    wanted, trouble = requested_tools(
        session, state["turn"].question, known.language, state.get("parts", []), ledger
    )
    return UnderstandUpdate(
        understanding=known,
        waiting=wanted,
        rounds=state.get("rounds", 0) + 1,
        trouble=trouble,
    )


def asks_model(session: Session, known: Understanding) -> bool:
    """Whether a model has anything to add: not to a greeting, and never to a wish to act."""
    return session.model is not None and not {"help", "approve"} & {*known.intents}


MOST_WISHES = 4


def requested_tools(
    session: Session, question: str, language: Language, parts: Sequence[AnswerPart], ledger: Ledger
) -> tuple[list[ToolRequest], str]:
    """Ask the model which tools to call next; return the calls, or none and the reason."""
    model = session.model
    assert model is not None
    system = load("chat_tools", language).render(
        tools=[_listed(name) for name in TOOLS], most=MOST_WISHES, nonce=session.nonce
    )
    request = answer_request(session, question, parts, ledger, language, system)
    request = request.model_copy(update={"reply_schema": tool_request_schema()})
    asked = ask(model, request, tool_request_model(), lambda _wanted: (), language)
    if asked.value is None:
        return [], asked.reason
    return [
        ToolRequest(tool=one.tool, arguments=one.arguments.model_dump(mode="json"))
        for one in asked.value.requests  # type: ignore[attr-defined]
    ], ""


@cache
def tool_request_model() -> type[BaseModel]:
    """The schema of a reply: a list of requests, each one tool with its own arguments."""
    one: Any = Union[tuple(map(_shape, TOOLS))]  # noqa: UP007 - made at run time
    return create_model(
        "Wishes",
        __base__=FrozenModel,
        requests=(tuple[one, ...], Field(default=(), max_length=MOST_WISHES)),
    )


@cache
def tool_request_schema() -> dict[str, JsonValue]:
    """Its schema without lengths of text: a grammar made of them is too large for the server."""
    schema = tool_request_model().model_json_schema()
    for part in (schema, *schema["$defs"].values()):
        for field in part.get("properties", {}).values():
            field.pop("maxLength", None)
    return schema


def _shape(name: str) -> type[BaseModel]:
    """One tool and its arguments; those that need none may be left out."""
    tool = TOOLS[name]
    literal: Any = Literal[name]
    needed: Any = ... if _needs(name) else Field(default_factory=tool.arguments)
    arguments: Any = tool.arguments
    return create_model(
        f"Use_{name}", __base__=FrozenModel, tool=(literal, ...), arguments=(arguments, needed)
    )


def _needs(name: str) -> bool:
    return any(field.is_required() for field in TOOLS[name].arguments.model_fields.values())


def _listed(name: str) -> dict[str, str]:
    tool = TOOLS[name]
    arguments = ", ".join(
        f"{field}{'' if spec.is_required() else '?'}: {spec.description or 'text'}"
        for field, spec in tool.arguments.model_fields.items()
    )
    return {"name": name, "purpose": tool.purpose, "arguments": arguments or "none"}
