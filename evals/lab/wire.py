"""HTTP/1.1 as the lab speaks it: a small server, and one exchange over an open connection.

Keep-alive, bodies by Content-Length, nothing else: what both ends need and no more.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

_MOST_HEADERS = 64
_MOST_BODY = 1_048_576


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> dict[str, Any]:
        """The body as an object; `ValueError` where it is none."""
        found = json.loads(self.body or b"{}")
        if not isinstance(found, dict):
            raise ValueError(f"the body is {type(found).__name__}, not an object")
        return found


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    status: int = 200
    body: bytes = b"{}"
    content_type: str = "application/json"


def answer(content: object, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(status, json.dumps(content).encode())


Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """Listens on a free port of the loopback and answers with one handler."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> int:
        """Begin to listen; returns the port."""
        self._server = await asyncio.start_server(
            self._connection, "127.0.0.1", port, ssl=self._tls, backlog=256
        )
        return int(self._server.sockets[0].getsockname()[1])

    def hang_up(self) -> None:
        """Close every open connection; clients have to shake hands again."""
        for writer in tuple(self._open):
            writer.close()

    async def stop(self) -> None:
        """Stop to listen and close what is open."""
        if self._server is not None:
            self._server.close()
        self.hang_up()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while (request := await _read_request(reader)) is not None:
                response = await self._handler(request)
                writer.write(_rendered(response))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, ValueError):
            # The other end went away, or does not speak HTTP; there is nobody to answer.
            pass
        finally:
            self._open.discard(writer)
            writer.close()


class WireConnection:
    """One open connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext | None, name: str) -> "WireConnection":
        """Connect to a port of the loopback; with TLS the peer has to prove its name."""
        named = name if tls else None
        return cls(
            *await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=named)
        )

    @property
    def usable(self) -> bool:
        """Whether the other end has not hung up."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def exchange(self, request: Request) -> Response:
        """Send the request and read its answer; `OSError` where the connection broke."""
        head = f"{request.method} {request.path} HTTP/1.1\r\nhost: lab\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        head += f"content-length: {len(request.body)}\r\n\r\n"
        self._writer.write(head.encode() + request.body)
        try:
            await self._writer.drain()
            first = (await self._reader.readuntil(b"\r\n")).split(b" ", 2)
            headers = await _read_headers(self._reader)
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("the peer hung up in the middle of an answer") from error
        return Response(int(first[1]), body, headers.get("content-type", ""))

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        first = await reader.readuntil(b"\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise
    method, path, _ = first.decode("latin-1").split(" ", 2)
    headers = await _read_headers(reader)
    length = int(headers.get("content-length", "0"))
    if length > _MOST_BODY:
        raise ValueError(f"a body of {length} bytes; {_MOST_BODY} is the most")
    return Request(method, path, headers, await reader.readexactly(length))


async def _read_headers(reader: asyncio.StreamReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_MOST_HEADERS):
        line = (await reader.readuntil(b"\r\n")).decode("latin-1").strip()
        if not line:
            return headers
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    raise ValueError(f"more than {_MOST_HEADERS} headers")


def _rendered(response: Response) -> bytes:
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    head = (
        f"HTTP/1.1 {response.status} {phrase}\r\ncontent-type: {response.content_type}\r\n"
        f"content-length: {len(response.body)}\r\n\r\n"
    )
    return head.encode() + response.body
