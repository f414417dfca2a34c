"""Calls of tools, ours and by `StructuredTool`: checked, run once, bounded in time and result."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from langchain_core.tools import StructuredTool
from pydantic import Field, JsonValue, ValidationError

from copilot.surfaces.chat.ledger import CitedStatement, Ledger, opened
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import Statement, ToolResult
from copilot.surfaces.chat.tools import TOOLS
from copilot.types.conversation import ToolUse
from copilot.types.errors import OperatorError
from prompts import Language
from tools.evidence import cited
from tools.types import FrozenModel

ResultT = TypeVar("ResultT")

CALL_S = 20.0
"""Longest one tool may take; a source that hangs costs no more than that."""


class ToolRequest(FrozenModel):
    """A wish to use a tool; whoever has it may be wrong about both."""

    tool: str = Field(max_length=60)
    arguments: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """The same for the same tool with the same arguments, however they were written."""
        tool = TOOLS.get(self.tool)
        given: object = self.arguments
        if tool is not None:
            try:
                given = tool.arguments.model_validate(self.arguments).model_dump(mode="json")
            except ValidationError:
                given = self.arguments
        return f"{self.tool} {json.dumps(given, sort_keys=True, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class ToolExecution:
    """A call that was made, what it found and what it took."""

    call: ToolRequest
    found: ToolResult
    use: ToolUse


def execute_request(
    call: ToolRequest, scope: ToolContext, seconds: float = CALL_S
) -> ToolExecution:
    """Make one call; whatever goes wrong is said in `missing`, never raised."""
    began = time.monotonic()
    found = _tool_result(call, scope, max(0.1, min(seconds, CALL_S)))
    use = ToolUse(
        tool=call.tool,
        arguments=call.arguments,
        rows=len(found.statements),
        seconds=round(time.monotonic() - began, 3),
        problem="; ".join(found.missing)[:300],
    )
    return ToolExecution(call, found, use)


def _tool_result(call: ToolRequest, scope: ToolContext, seconds: float) -> ToolResult:
    tool = TOOLS.get(call.tool)
    if tool is None:
        return ToolResult(missing=(f"{call.tool[:60]!r} is no tool; there are {', '.join(TOOLS)}",))
    try:
        arguments = tool.arguments.model_validate(call.arguments)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return ToolResult(missing=(f"{tool.name}: {where}: {first['msg']}",))
    try:
        return within(seconds, lambda: tool.look(arguments, scope))
    except OperatorError as error:
        return ToolResult(missing=(str(error),))
    except TimeoutError:
        return ToolResult(missing=(f"{tool.name}: no answer within {seconds:.0f} s",))


def within(seconds: float, work: Callable[[], ResultT]) -> ResultT:
    """The result, or TimeoutError; what is late ends by itself and is not heard any more.

    A source that hangs in a read cannot be stopped from outside; its adapter has its own timeout.
    """
    threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chat-tool")
    try:
        return threads.submit(work).result(timeout=seconds)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


MOST_BYTES = 16_384
"""Size of one result; rows that do not fit are left out from the end, and counted."""


def structured_tools(
    scope: ToolContext, language: Language = "en", seconds: float = CALL_S
) -> list[StructuredTool]:
    """Every tool over one incident and its sources.

    A result is JSON: `statements` that cite, the cited `evidence`, what is `missing`, how many rows
    were `left_out`. New facts are numbered on from the incident's evidence, in one row over all
    tools of the list.
    """
    numbers = _Numbers(opened(scope.incident))

    def offered(name: str) -> Callable[..., str]:
        def run(**arguments: object) -> str:
            given = TOOLS[name].arguments(**arguments).model_dump(mode="json")
            made = execute_request(ToolRequest(tool=name, arguments=given), scope, seconds)
            lead, rows = numbers.written(made.found.lead), numbers.written(made.found.rows)
            return numbers.told(lead + rows, made.found.missing, made.found.more, language)

        return run

    return [
        StructuredTool.from_function(
            func=offered(name), name=name, description=tool.purpose, args_schema=tool.arguments
        )
        for name, tool in TOOLS.items()
    ]


class _Numbers:
    """One row of numbers over the calls of one list of tools."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def written(self, statements: Sequence[Statement]) -> tuple[CitedStatement, ...]:
        self._ledger, said = self._ledger.written(statements)
        return said

    def told(
        self,
        said: tuple[CitedStatement, ...],
        missing: tuple[str, ...],
        more: int,
        language: Language,
    ) -> str:
        """As much as fits."""
        for kept in range(len(said), -1, -1):
            shown = said[:kept]
            texts = [one.cited(language) for one in shown]
            numbers = cited(" ".join(texts))
            items = [item for number in numbers if (item := self._ledger.find(number)) is not None]
            result = {
                "statements": texts,
                "evidence": [
                    item.model_dump(mode="json", exclude={"figures", "strength"}) for item in items
                ],
                "missing": [*missing],
                "left_out": more + len(said) - kept,
            }
            text = json.dumps(result, ensure_ascii=False)
            if len(text.encode()) <= MOST_BYTES:
                return text
        return json.dumps({"statements": [], "missing": ["the result does not fit"]})
