"""Tools of an MCP server as looks, by the official SDK: pinned, bounded, read-only.

A connection is made for each look at an incident and closed after it, so nothing a server says
outlives it. Nothing of ours is offered to it: no sampling, no roots, no elicitation.
"""

import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import MCPError
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent, Tool

from copilot.ports import SourceError
from copilot.sources.looks import relay
from copilot.sources.looks.declared import DeclaredLook, LookServer
from copilot.sources.looks.look import LookAnswer
from copilot.types.redaction import Redactor

CONNECT_S = 10.0
"""Longest a server takes to start, greet and list its tools: programs of Node take seconds."""

MOST_TOOLS, MOST_PAGES = 500, 20

MOST_BYTES = 16 * 1024 * 1024
"""Of all that a server writes in one connection: its list of tools, and four answers of the largest
that a look may have."""

FAULTS = (
    TimeoutError,
    OSError,
    MCPError,
    ValueError,
    RuntimeError,
    httpx2.HTTPError,
    ExceptionGroup,
)
"""How a connection fails, by the SDK and what it stands on; it also ends in groups of these."""


def pin_of(tool: Tool) -> str:
    """The hash of everything by which a tool says what it does.

    A server that changes any of it after it was read is asked nothing more ("rug pull").
    """
    text = json.dumps(_described(tool), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _described(tool: Tool) -> dict[str, Any]:
    said = {"name", "title", "description", "input_schema", "output_schema", "annotations"}
    return tool.model_dump(mode="json", by_alias=True, exclude_none=True, include=said)


class McpAsker:
    """Asks the declared tools of one server."""

    def __init__(
        self,
        name: str,
        server: LookServer,
        environment: Mapping[str, str],
        connect: Callable[[], AbstractAsyncContextManager[Client]] | None = None,
    ) -> None:
        """Name a server; `connect` stands in for its command or address."""
        self._name, self._server, self._environment = name, server, environment
        self._connect = connect or self._connected

    def ask(
        self, questions: Sequence[tuple[DeclaredLook, Mapping[str, str | float]]]
    ) -> Iterator[LookAnswer | SourceError]:
        """Connect, hold each tool against its pin, call those that are as declared."""
        limit = CONNECT_S + sum(one.timeout_s for one, _ in questions)
        yield from self._run(lambda client: self._answers(client, questions), limit)

    def describe(self, looks: Sequence[DeclaredLook]) -> str:
        """The looks that are taken; raises SourceError about the first that is refused."""
        known = self._tools()
        for one in looks:
            if refusal := _refusal(one, known.get(one.tool)):
                raise SourceError(self._name, f"{one.name}: {refusal}", recoverable=False)
        return f"MCP, {len(known)} tools; asked: {', '.join(one.tool for one in looks)}"

    def pin(self, one: DeclaredLook) -> str:
        """What the tool says of itself, to be read by a person, and the hash of it."""
        tool = self._tools().get(one.tool)
        if tool is None:
            raise SourceError(self._name, _refusal(one, None), recoverable=False)
        said = json.dumps(_described(tool), indent=1)  # in ASCII: nothing in it is invisible
        wish = f"If this is what you want asked, write into the look {one.name!r}:"
        return f"{said}\n\n{wish}\n  pinned: {pin_of(tool)}"

    def _tools(self) -> dict[str, Tool]:
        found: dict[str, Tool] = self._run(_listed, CONNECT_S)
        return found

    def _run(self, work: Callable[[Client], Any], limit_s: float) -> Any:
        async def bounded() -> Any:
            with anyio.fail_after(limit_s):
                async with self._connect() as client:
                    return await work(client)

        try:
            return anyio.run(bounded)
        except (*FAULTS, ExceptionGroup) as error:
            first = _first(error)
            if not isinstance(first, FAULTS):
                raise
            slow = isinstance(first, TimeoutError)
            problem = f"no answer within {limit_s:g} s" if slow else _said(first)
            raise SourceError(self._name, problem, recoverable=True) from first

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        most = MOST_BYTES
        if self._server.command:
            given = {name: self._environment.get(name, "") for name in self._server.hands_on}
            # A program of its own counts what the server writes, so that no line of it fills us.
            parameters = StdioServerParameters(
                command=sys.executable,
                args=["-I", str(Path(relay.__file__)), str(most), *self._server.command],
                env={**self._server.environment, **given},
            )
            async with Client(parameters) as client:
                yield client
            return
        headers = dict(self._server.headers)
        if self._server.token_env:
            headers["Authorization"] = f"Bearer {self._environment.get(self._server.token_env, '')}"
        transport = CountedTransport(most)
        async with (
            httpx2.AsyncClient(
                headers=headers, transport=transport, timeout=CONNECT_S, trust_env=False
            ) as http,
            Client(
                streamable_http_client(self._server.url, http_client=http, max_sse_event_size=most)
            ) as client,
        ):
            yield client

    async def _answers(
        self, client: Client, questions: Sequence[tuple[DeclaredLook, Mapping[str, str | float]]]
    ) -> list[LookAnswer | SourceError]:
        known = await _listed(client)
        return [await self._answer(client, known, one, values) for one, values in questions]

    async def _answer(
        self,
        client: Client,
        known: Mapping[str, Tool],
        one: DeclaredLook,
        values: Mapping[str, str | float],
    ) -> LookAnswer | SourceError:
        if refusal := _refusal(one, known.get(one.tool)):
            return SourceError(self._name, refusal, recoverable=False)
        try:
            with anyio.fail_after(one.timeout_s):
                told = await client.call_tool(one.tool, one.filled(values))
        except TimeoutError:
            problem = f"no answer within {one.timeout_s:g} s"
            return SourceError(self._name, problem, recoverable=True)
        except MCPError as error:
            return SourceError(self._name, _said(error), recoverable=False)
        return self._content(one, told)

    def _content(self, one: DeclaredLook, told: CallToolResult) -> LookAnswer | SourceError:
        text = "\n".join(part.text for part in told.content if isinstance(part, TextContent))
        structured = told.structured_content
        sizes = (len(each.encode("utf-8", "replace")) for each in (text, json.dumps(structured)))
        if max(sizes) > one.most_bytes:
            problem = f"the answer is larger than {one.most_bytes} bytes"
            return SourceError(self._name, problem, recoverable=False)
        if told.is_error:
            return SourceError(self._name, f"the tool failed: {_plain(text)}", recoverable=False)
        if structured is None or set(structured) == {"result"}:  # the SDK's wrapping of a text
            return text
        return structured if one.readings or one.lines or one.changes else text


def _refusal(one: DeclaredLook, tool: Tool | None) -> str:
    """Why the tool is not called; empty where it is as the operator read it, and only reads."""
    if tool is None:
        return f"the server has no tool {one.tool!r} (any more)"
    if not one.pinned:
        return f"not pinned: read the tool by `copilot looks pin {one.name}`, then write its hash"
    if one.pinned != pin_of(tool):
        return (
            f"the tool {one.tool!r} is not as it was pinned: its description or schema changed; "
            f"read it again by `copilot looks pin {one.name}`"
        )
    told = tool.annotations
    if not one.reads_only and not (told is not None and told.read_only_hint):
        said = f"the tool {one.tool!r} does not say that it only reads"
        return f"{said}; if you know that it does, write reads_only: true"
    return ""


async def _listed(client: Client) -> dict[str, Tool]:
    """Every tool by its name; a list without an end is refused."""
    found: dict[str, Tool] = {}
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        found |= {one.name: one for one in page.tools}
        cursor = page.next_cursor
        if cursor is None or len(found) > MOST_TOOLS:
            break
    if cursor is not None:
        raise ValueError(f"it lists more than {MOST_TOOLS} tools")
    return found


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _said(error: BaseException) -> str:
    return _plain(f"{type(error).__name__}: {error}")


def _plain(text: str) -> str:
    """What a server says, in one short line, without secrets."""
    return Redactor().text(" ".join(text.split()))[:200]


class CountedTransport(httpx2.AsyncHTTPTransport):
    """HTTP whose answers end in an error where they are larger than `most` bytes together."""

    def __init__(self, most: int) -> None:
        super().__init__(trust_env=False)
        self._left = most

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send it; its answer is counted as it arrives."""
        answer = await super().handle_async_request(request)
        answer.stream = _Counted(answer.stream, self)
        return answer

    def count(self, taken: int) -> None:
        """Take so many bytes of what is left; raises httpx2.ReadError."""
        self._left -= taken
        if self._left < 0:
            raise httpx2.ReadError("the server's answers are larger than they may be")


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: Any, counted: CountedTransport) -> None:
        self._stream, self._counted = stream, counted

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._stream:
            self._counted.count(len(block))
            yield block

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._stream.aclose()
