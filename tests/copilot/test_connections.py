"""Connections of the service: half requests end, heads are bounded, whole ones are answered."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import uvicorn
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from copilot.surfaces.service.connection import MOST_HEAD, BoundedConnection

WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"

HELLO = PlainTextResponse("hello")


class HastyConnection(BoundedConnection):
    head_s, take_s = 0.3, 0.3


@contextmanager
def served(
    kind: type[BoundedConnection] = BoundedConnection, app: ASGIApp = HELLO
) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        config = uvicorn.Config(app, http=kind, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


def _read(peer: socket.socket) -> bytes:
    found = b""
    peer.settimeout(20)
    try:
        while block := peer.recv(65536):
            found += block
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n", b"GET /"], ids=["nothing", "half", "a word"]
)
def test_half_a_request_ends_and_whole_ones_are_answered_meanwhile(
    sent: bytes,
) -> None:
    with served(HastyConnection) as port, ExitStack() as stack:
        opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        slow = [stack.enter_context(one) for one in opened]
        for peer in slow:
            peer.sendall(sent)
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(WHOLE)
            assert b"hello" in _read(peer)
        assert {_read(peer)[:12] for peer in slow} == ({b"HTTP/1.1 408"} if sent else {b""})


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\nx: " + b"a" * (3 * MOST_HEAD), b"GET /" + b"a" * (3 * MOST_HEAD)],
    ids=["header", "address"],
)
def test_an_endless_head_is_refused_early(head: bytes) -> None:
    with served() as port, socket.create_connection(("127.0.0.1", port)) as peer:
        try:
            peer.sendall(head)
        except (ConnectionResetError, BrokenPipeError):
            return
        assert _read(peer)[:12] in (b"HTTP/1.1 431", b"")


def test_many_requests_of_one_connection_are_answered_and_counted_apart() -> None:
    with served() as port, socket.create_connection(("127.0.0.1", port)) as peer:
        large = b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * (MOST_HEAD // 2) + b"\r\n\r\n"
        for _ in range(5):
            peer.sendall(large)
            found = b""
            while b"hello" not in found:
                found += peer.recv(65536)


def test_a_reader_that_takes_nothing_is_dropped_and_hurts_nobody() -> None:
    ended = threading.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        answer = HELLO if scope["path"] == "/" else StreamingResponse(endless())
        await answer(scope, receive, send)

    with (
        served(HastyConnection, app) as port,
        socket.create_connection(("127.0.0.1", port)) as slow,
        socket.create_connection(("127.0.0.1", port)) as peer,
    ):
        slow.sendall(b"GET /feed HTTP/1.1\r\nhost: x\r\n\r\n")
        peer.sendall(WHOLE)
        assert b"hello" in _read(peer)
        assert ended.wait(20)
        assert not _read(slow).endswith(b"0\r\n\r\n")
