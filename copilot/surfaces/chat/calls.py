"""Calls of tools: checked, run once each, within a time, and their result bounded."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from pydantic import Field, JsonValue, ValidationError

from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import ToolResult
from copilot.surfaces.chat.tools import TOOLS
from copilot.types.conversation import ToolUse
from copilot.types.errors import OperatorError
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
