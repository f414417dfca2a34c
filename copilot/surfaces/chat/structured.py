"""The tools as langchain-core `StructuredTool`s, so that others can use them; they only read."""

import json
from collections.abc import Callable, Sequence

from langchain_core.tools import StructuredTool

from copilot.surfaces.chat.calls import CALL_S, ToolRequest, execute_request
from copilot.surfaces.chat.ledger import CitedStatement, Ledger, opened
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import Statement
from copilot.surfaces.chat.tools import TOOLS
from prompts import Language
from tools.evidence import cited

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
