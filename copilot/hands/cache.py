"""Flush declared keys of a Redis, or pause a queue that its consumers look up there.

Source: Redis 7 documentation, pages "RESP protocol", SCAN, UNLINK, SET and "ACL DRYRUN".
"""

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Annotated

from pydantic import Field

from copilot.hands.credentials import WithPassword
from copilot.hands.report import Rehearsal, StepFailedError, of_type, reported
from copilot.ports import Clock
from tools.log_retriever import sanitize
from tools.playbook_executor.vocabulary import FlushArguments, QueueArguments, ResourceName
from tools.types import PlanStep, StepResult

TIMEOUT_S = 5.0
MOST_BYTES = 4 * 1024 * 1024
MOST_DEPTH = 4
"""Arrays in arrays: SCAN has one in one."""
AT_ONCE = 500
OURS = "incident-copilot"
"""How the value of a pause begins that we set: another's is never taken away."""

KeyPattern = Annotated[str, Field(pattern=r"^[^\s*?\[\]\\]{2,120}\*?$")]
"""A key, or the beginning of keys and a star; never all keys."""
RedisKey = Annotated[str, Field(pattern=r"^[^\s]{1,200}$")]
Reply = str | int | None | list["Reply"]


class RedisTarget(WithPassword):
    """A Redis of the runners file: which keys may be flushed, which key pauses which queue."""

    host: str
    port: int = Field(default=6379, ge=1, le=65_535)
    db: int = Field(default=0, ge=0)
    user: str = "default"
    tls: bool = False
    keys: dict[ResourceName, KeyPattern] = Field(default_factory=dict)
    queues: dict[ResourceName, RedisKey] = Field(default_factory=dict)

    def meaning(self, step: PlanStep) -> str:
        """The database, and the keys that the step's name stands for."""
        keys = self.keys.get(str(step.arguments.get("keys")), "")
        pause = self.queues.get(str(step.arguments.get("queue")), "")
        return f"{self.told}: {keys or pause}"

    @property
    def told(self) -> str:
        """For a person."""
        return f"redis{'s' if self.tls else ''}://{self.user}@{self.host}:{self.port}/{self.db}"

    @contextmanager
    def connected(self, within_s: float) -> Iterator["RedisConnection"]:
        """A connection of its own, signed in; `StepFailedError` where there is none in time."""
        try:
            with socket.create_connection((self.host, self.port), TIMEOUT_S) as plain:
                line = _wrapped(plain, self.host) if self.tls else plain
                with line.makefile("rb") as answers:
                    connection = RedisConnection(line, answers, within_s)
                    if self.password is not None:
                        connection.ask("AUTH", self.user, self.password.get_secret_value())
                    connection.ask("SELECT", str(self.db))
                    yield connection
        except OSError as error:
            raise StepFailedError(f"{self.told} is not reached: {error}") from error
        except ValueError as error:
            raise StepFailedError(f"{self.told} does not speak RESP: {error}") from error


def _wrapped(plain: socket.socket, host: str) -> socket.socket:
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


class RedisConnection:
    """Speaks RESP 2: commands of bulk strings out, one reply of bounded size each in."""

    def __init__(self, line: socket.socket, answers: IO[bytes], within_s: float) -> None:
        self._line, self._answers = line, answers
        self._within_s, self._until, self._left = within_s, time.monotonic() + within_s, 0

    def ask(self, *words: str) -> Reply:
        """The reply; an error is a `StepFailedError` with the command's first word."""
        self._left = MOST_BYTES
        parts = [word.encode("utf-8", "surrogateescape") for word in words]
        framed = b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in parts)
        self._line.sendall(b"*%d\r\n%s" % (len(parts), framed))
        try:
            return self._reply()
        except StepFailedError as error:
            raise StepFailedError(f"{words[0]}: {error}") from error

    def _reply(self, depth: int = 0) -> Reply:
        head = self._spent(self._answers.readline(self._left))
        kind, rest = head[:1], head[1:-2]
        if kind == b"+":
            return rest.decode("utf-8", "replace")
        if kind == b"-":
            raise StepFailedError(sanitize(rest.decode("utf-8", "replace")))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return self._bulk(int(rest))
        if kind == b"*" and depth < MOST_DEPTH:
            return [self._reply(depth + 1) for _ in range(max(0, int(rest)))]
        raise ValueError(f"a reply of kind {kind!r} in {depth} arrays")

    def _bulk(self, length: int) -> str | None:
        if length < 0:
            return None
        if length + 2 > self._left:
            raise ValueError(f"a reply of {length} bytes")
        # A key may hold any bytes; surrogates carry them there and back.
        found = self._spent(self._answers.read(length + 2), length + 2)
        return found[:-2].decode("utf-8", "surrogateescape")

    def _spent(self, found: bytes, at_least: int = 0) -> bytes:
        """What was read, while there is room and time for it; `ValueError` where it was cut."""
        self._left -= len(found)
        if time.monotonic() > self._until:
            raise StepFailedError(f"not done within {self._within_s:g} s")
        if not found.endswith(b"\r\n") or len(found) < at_least:
            full = "longer than allowed" if self._left <= 0 else "cut: the connection was closed"
            raise ValueError(f"a reply is {full}")
        return found


class CacheRunner:
    """Runs `cache` steps on the Redis servers of the runners file.

    Keys are counted before the first is deleted; more than the step allows, and none is. A pause
    ends by itself, and one that somebody else set is neither prolonged nor ended.
    """

    def __init__(self, targets: Mapping[str, RedisTarget], clock: Clock) -> None:
        self._targets, self._clock = dict(targets), clock

    def run(self, step: PlanStep, key: str) -> StepResult:
        """Flush, pause or resume."""
        return reported(self._clock, key, lambda: self._act(step, key))

    def touches(self, step: PlanStep) -> bool:
        """The keys are really deleted or set."""
        return True

    def rehearse(self, step: PlanStep) -> Rehearsal:
        """Count the keys or look who paused, and ask the server whether the user may act."""
        target = self._target(step)
        with target.connected(step.timeout_s) as redis:
            wanted = _wanted(step)
            if isinstance(wanted, FlushArguments):
                found = _matching(redis, _declared(target.keys, wanted.keys), wanted.most)
                return Rehearsal(f"{len(found)} keys", _forbidden(redis, target, "UNLINK", "k"))
            pause = _declared(target.queues, wanted.queue)
            paused = redis.ask("GET", pause)
            seen = f"queue {wanted.queue} {'is paused' if paused else 'is not paused'}"
            _refuse_foreign(wanted, paused)
            verb = ("SET", pause, "v") if wanted.verb == "pause" else ("DEL", pause)
            return Rehearsal(seen, _forbidden(redis, target, *verb))

    def _target(self, step: PlanStep) -> RedisTarget:
        target = self._targets.get(str(step.arguments.get("cache")))
        if target is None:
            raise StepFailedError(f"cache {step.arguments.get('cache')!r} is not declared")
        return target

    def _act(self, step: PlanStep, key: str) -> str:
        target, wanted = self._target(step), _wanted(step)
        with target.connected(step.timeout_s) as redis:
            if isinstance(wanted, FlushArguments):
                return _flush(redis, _declared(target.keys, wanted.keys), wanted)
            return _switch(redis, _declared(target.queues, wanted.queue), wanted, key)


def _wanted(step: PlanStep) -> FlushArguments | QueueArguments:
    if step.arguments.get("verb") == "flush":
        return of_type(step, FlushArguments)
    return of_type(step, QueueArguments)


def _declared(names: Mapping[str, str], name: str) -> str:
    if name not in names:
        raise StepFailedError(f"{name!r} is not declared there; declared: {', '.join(names)}")
    return names[name]


def _matching(redis: RedisConnection, pattern: str, most: int) -> list[str]:
    """The keys of that pattern; `StepFailedError` as soon as there are more than `most`."""
    found: dict[str, None] = {}  # SCAN may name a key twice
    cursor = "0"
    while True:
        reply = redis.ask("SCAN", cursor, "MATCH", pattern, "COUNT", "1000")
        if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[1], list):
            raise StepFailedError(f"SCAN answered {reply!r}")
        cursor = str(reply[0])
        found |= dict.fromkeys(str(key) for key in reply[1])
        if len(found) > most:
            raise StepFailedError(f"more than {most} keys match {pattern}; none was deleted")
        if cursor == "0":
            return list(found)


def _flush(redis: RedisConnection, pattern: str, wanted: FlushArguments) -> str:
    found = _matching(redis, pattern, wanted.most)
    gone = 0
    for start in range(0, len(found), AT_ONCE):
        gone += _count(redis.ask("UNLINK", *found[start : start + AT_ONCE]))
    return f"deleted {gone} of {len(found)} keys of {wanted.keys} ({pattern})"


def _switch(redis: RedisConnection, pause: str, wanted: QueueArguments, key: str) -> str:
    _refuse_foreign(wanted, redis.ask("GET", pause))
    if wanted.verb == "resume":
        redis.ask("DEL", pause)
        return f"queue {wanted.queue} goes on"
    redis.ask("SET", pause, f"{OURS} {key}", "EX", str(wanted.for_s))
    return f"queue {wanted.queue} is paused for at most {wanted.for_s} s"


def _refuse_foreign(wanted: QueueArguments, paused: Reply) -> None:
    if paused is not None and not str(paused).startswith(OURS):
        raise StepFailedError(f"queue {wanted.queue} was paused by somebody else")


def _count(reply: Reply) -> int:
    return reply if isinstance(reply, int) else 0


def _forbidden(redis: RedisConnection, target: RedisTarget, *command: str) -> str:
    """Why the user may not run it; empty where it may, or where only an administrator may ask."""
    try:
        said = redis.ask("ACL", "DRYRUN", target.user, *command)
    except StepFailedError:
        return ""
    return "" if said == "OK" else f"{target.told}: {sanitize(str(said))}"
