"""understand: what a question needs, by rules, then by a model; look: make the calls that wait."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, TypedDict, Union

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field, JsonValue, create_model

from copilot.model import ReplyCheck, ask
from copilot.surfaces.chat.calls import ToolExecution, ToolRequest, execute_request
from copilot.surfaces.chat.ledger import Ledger, opened
from copilot.surfaces.chat.report import AnswerPart
from copilot.surfaces.chat.session import ChatState, Progress, Session
from copilot.surfaces.chat.showing import answer_request
from copilot.surfaces.chat.tools import TOOLS
from copilot.surfaces.chat.understand import ChatScene, Understood
from copilot.types.conversation import ToolUse
from prompts import Language, load
from tools.types import FrozenModel


class UnderstandUpdate(TypedDict):
    understanding: Understood
    waiting: list[ToolRequest]
    rounds: int
    trouble: str


def understand(state: ChatState, runtime: Runtime[Session]) -> UnderstandUpdate:
    """The rules' calls first; a model sees what they found before it asks for more."""
    session = runtime.context
    session.heed()
    known = state.get("understanding")
    if known is None:
        scene = ChatScene.of(session.scope, session.language, session.turns)
        known = session.chain.understood(state["turn"].question, scene)
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


def asks_model(session: Session, known: Understood) -> bool:
    """Whether a model has anything to add: not to a greeting, and never to a wish to act."""
    return session.model is not None and not {"help", "approve", "smalltalk"} & {*known.intents}


MOST_WISHES = 4


def requested_tools(
    session: Session, question: str, language: Language, parts: Sequence[AnswerPart], ledger: Ledger
) -> tuple[list[ToolRequest], str]:
    """Ask the model which tools to call next; return the calls, or none and the reason."""
    model = session.model
    assert model is not None
    system = load("chat_tools", language).render(
        tools=[_listed(name) for name in TOOLS], most=MOST_WISHES
    )
    request = answer_request(session, question, parts, ledger, language, system)
    request = request.model_copy(update={"reply_schema": tool_request_schema()})
    asked = ask(model, request, tool_request_model(), ReplyCheck, language)
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


class ToolsUpdate(TypedDict):
    parts: list[AnswerPart]
    uses: list[ToolUse]
    made: list[str]
    repeats: int
    ledger: Ledger


def look(state: ChatState, runtime: Runtime[Session]) -> ToolsUpdate:
    """What was asked for before is not looked up again: it is there already."""
    session = runtime.context
    parts, uses = [*state.get("parts", [])], [*state.get("uses", [])]
    made, repeats = [*state.get("made", [])], state.get("repeats", 0)
    ledger = state.get("ledger") or opened(session.scope.incident, session.turns)
    for call in state["waiting"]:
        session.heed()
        if call.key in made:
            repeats += 1
            session.tell(Progress(step="tool", state="repeated", name=call.tool))
            continue
        if len(made) >= session.limits.calls or session.left() <= 0:
            break
        made.append(call.key)
        result = _made(session, call)
        uses.append(result.use)
        ledger, part = numbered(result, ledger)
        parts.append(part)
    return ToolsUpdate(parts=parts, uses=uses, made=made, repeats=repeats, ledger=ledger)


def numbered(result: ToolExecution, ledger: Ledger) -> tuple[Ledger, AnswerPart]:
    """What a tool found, with evidence numbers."""
    found = result.found
    ledger, lead = ledger.written(found.lead)
    ledger, rows = ledger.written(found.rows)
    part = AnswerPart(
        result.call.tool, lead, rows, found.more, found.missing, found.plan, found.waits,
        found.services,
    )  # fmt: skip
    return ledger, part


def _made(session: Session, call: ToolRequest) -> ToolExecution:
    shown = ", ".join(f"{k}={v}" for k, v in call.arguments.items())[:120]
    session.tell(Progress(step="tool", name=call.tool, said=shown))
    result = execute_request(call, session.scope, session.left())
    nothing = result.use.problem and not result.use.rows
    said = result.use.problem if nothing else f"{result.use.rows} rows, {result.use.seconds:.2f} s"
    state = "failed" if nothing else "done"
    session.tell(Progress(step="tool", state=state, name=call.tool, said=said))
    return result
