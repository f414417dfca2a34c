"""Outbound: calls to other services by name, through a bounded pool and a small balancer."""

import asyncio
import contextlib
import ssl
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from evals.lab.shop.meters import InstanceMeters, since
from evals.lab.wire import Request, Response, WireConnection

CallFailure = Literal["timeout", "refused", "dns", "tls", "pool"]
_EJECTED_S = 3.0
_TRIES = 3


class CallFailedError(Exception):
    """No answer came; `kind` says what was in the way."""

    def __init__(self, kind: CallFailure, problem: str) -> None:
        super().__init__(problem)
        self.kind = kind


class Pool:
    """At most `size` connections are held at a time; who finds none waits in order."""

    def __init__(self, size: int, meters: InstanceMeters, name: str) -> None:
        self._size = size
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._meters = meters
        self._wait = meters.pool_wait.labels(name)
        self._show()

    async def acquire(self, timeout_s: float) -> None:
        """Hold one; `TimeoutError` where none came free in time."""
        started = time.monotonic()
        if self._held >= self._size or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await asyncio.wait_for(turn, timeout_s)
            except TimeoutError:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)
                self._wait.observe(since(started))
                raise
        else:
            self._held += 1
        self._wait.observe(since(started))
        self._show()

    def release(self) -> None:
        """Give one back; the first who waits takes it."""
        self._held -= 1
        self._hand_out()

    def resize(self, size: int) -> None:
        """Allow another number from now on."""
        self._size = size
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._held < self._size:
            turn = self._waiting.popleft()
            if not turn.done():
                self._held += 1
                turn.set_result(None)
        self._show()

    def _show(self) -> None:
        self._meters.pool_in_use.set(self._held)
        self._meters.pool_max.set(self._size)


@dataclass(frozen=True, slots=True)
class CalleeAddress:
    """A callee under the name it is to be looked up by, and how it is spoken to."""

    name: str
    address: str  # the name to resolve: the callee's own, or that of its standby
    tls: ssl.SSLContext | None = None


class Outbound:
    """Calls a peer: a pooled connection to the next of its addresses that answers."""

    def __init__(
        self, pool: Pool, resolve: Callable[[str], Sequence[int]], meters: InstanceMeters
    ) -> None:
        self.pool = pool
        self._resolve = resolve
        self._meters = meters
        self._idle: dict[int, list[WireConnection]] = defaultdict(list)
        self._turn: dict[str, int] = defaultdict(int)
        self._ejected: dict[int, float] = {}

    async def call(self, peer: CalleeAddress, request: Request, timeout_s: float) -> Response:
        """The peer's answer; raises `CallFailedError` where there was none."""
        try:
            await self.pool.acquire(timeout_s)
        except TimeoutError:
            raise CallFailedError(
                "pool", f"no connection came free within {timeout_s:g} s"
            ) from None
        started = time.monotonic()
        status = "timeout"
        try:
            response = await asyncio.wait_for(self._balanced(peer, request), timeout_s)
            status = str(response.status)
        except TimeoutError:
            problem = f"{peer.name} did not answer within {timeout_s:g} s"
            raise CallFailedError("timeout", problem) from None
        except CallFailedError as failure:
            status = failure.kind
            raise
        finally:
            self.pool.release()
            self._meters.called.labels(peer.name, status).observe(since(started))
        return response

    async def _balanced(self, peer: CalleeAddress, request: Request) -> Response:
        ports = self._resolve(peer.address)
        if not ports:
            raise CallFailedError("dns", f"the name {peer.address!r} could not be resolved")
        last = CallFailedError("refused", f"no instance of {peer.name} accepts connections")
        for port in self._order(peer.address, ports)[:_TRIES]:
            try:
                return await self._exchange(port, peer, request)
            except ssl.SSLCertVerificationError as error:
                problem = f"certificate of {peer.name} was refused: {error.verify_message}"
                raise CallFailedError("tls", problem) from error
            except OSError as error:
                self._ejected[port] = time.monotonic() + _EJECTED_S
                last = CallFailedError("refused", f"{peer.name} at port {port}: {error}")
        raise last

    def _order(self, name: str, ports: Sequence[int]) -> list[int]:
        """Round robin, those that just refused last."""
        self._turn[name] += 1
        shift = self._turn[name] % len(ports)
        turned = [*ports[shift:], *ports[:shift]]
        now = time.monotonic()
        return sorted(turned, key=lambda port: self._ejected.get(port, 0.0) > now)

    async def _exchange(self, port: int, peer: CalleeAddress, request: Request) -> Response:
        """Over an idle connection if one still stands, else over a new one."""
        while self._idle[port]:
            connection = self._idle[port].pop()
            if connection.usable:
                with contextlib.suppress(ConnectionError):
                    return await self._over(connection, port, request)
            connection.close()
        return await self._over(await WireConnection.open(port, peer.tls, peer.name), port, request)

    async def _over(self, connection: WireConnection, port: int, request: Request) -> Response:
        try:
            response = await connection.exchange(request)
        except BaseException:
            connection.close()  # cancelled in the middle, its next answer would be the old one
            raise
        self._idle[port].append(connection)
        return response
