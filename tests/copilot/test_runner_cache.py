"""Declared keys are flushed within bounds, queues pause and go on: through a real Redis."""

import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from pydantic import SecretStr

from copilot.hands.cache import CacheRunner, RedisTarget
from copilot.hands.report import StepFailedError
from copilot.sources.clock import SystemClock
from copilot.testing.servers import free_port
from tools.types import PlanStep

PROGRAM = shutil.which("redis-server")
FIELDS = {
    "host": "127.0.0.1",
    "keys": {"carts": "cart:*", "one": "config"},
    "queues": {"mail": "rq:suspended"},
}


def target(port: int, **fields: object) -> RedisTarget:
    return RedisTarget.model_validate({**FIELDS, "port": port, **fields})


def step(verb: str, **more: object) -> PlanStep:
    arguments = {"verb": verb, "cache": "c", **more}
    return PlanStep.model_validate(
        {"index": 0, "title": verb, "action": "cache", "arguments": arguments}
    )


def hands(one: RedisTarget) -> CacheRunner:
    return CacheRunner({"c": one}, SystemClock())


UNFIT = {
    "keys that nobody declared": (step("flush", keys="users", most=9), "'users' is not declared"),
    "a queue that nobody declared": (step("pause", queue="pay"), "'pay' is not declared there"),
    "a pattern for a name": (step("flush", keys="*", most=9), "is not a name"),
    "all keys there are": (step("flush", keys="carts", most=10**9), "most: Input should be less"),
    "a pause for ever": (step("pause", queue="mail", for_s=10**6), "for_s: Input should be less"),
    "another server": (step("flush", keys="carts", most=9, cache="x"), "cache 'x' is not declared"),
}


def test_a_server_that_is_away_is_told_with_its_place() -> None:
    result = hands(target(free_port())).run(step("flush", keys="carts", most=9), "k")
    assert "redis://default@127.0.0.1:" in result.error
    assert "is not reached" in result.error


@contextmanager
def answering(first: bytes, more: bytes) -> Iterator[int]:
    """A server that lets anybody in and answers SCAN with these bytes, the latter without end."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError), server.accept()[0] as line:
            line.recv(65_536)
            line.sendall(b"+OK\r\n")
            while line.recv(65_536):
                line.sendall(first)
                while more:
                    line.sendall(more)
                if not first.endswith(SEARCHED):
                    return

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.close()


SEARCHED = b"*2\r\n$1\r\n7\r\n*0\r\n"
HOSTILE = {
    "arrays in arrays without end": (b"", b"*1\r\n", "does not speak RESP"),
    "an array without end": (b"*99999999999\r\n", b":1\r\n", "longer than allowed|not done"),
    "an array of nothing without end": (
        b"*99999999999\r\n",
        b"$-1\r\n",
        "longer than allowed|not done",
    ),
    "a line without end": (b"+", b"x" * 65_536, "longer than allowed"),
    "a huge length": (b"$99999999999\r\n", b"", "99999999999 bytes"),
    "more than it says": (b"$1\r\nxxxxxxxx\r\n", b"", "cut"),
    "less than it says": (b"$400\r\nx\r\n", b"", "cut"),
    "a length that is no number": (b"$many\r\n", b"", "does not speak RESP"),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n", b"", "does not speak RESP"),
    "a search without end": (SEARCHED, b"", "not done within 0.5 s"),
}


@pytest.mark.parametrize(("first", "more", "said"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_server_fails_the_step_and_takes_neither_room_nor_time(
    first: bytes, more: bytes, said: str
) -> None:
    within_s = 0.5 if "not done" in said else 30.0  # the others end by themselves, under load too
    asked = step("flush", keys="carts", most=9).model_copy(update={"timeout_s": within_s})
    with answering(first, more) as port:
        result = hands(target(port)).run(asked, "k")
    assert re.search(said, result.error)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    if PROGRAM is None:
        pytest.skip("redis-server is not installed")
    folder, found = tmp_path_factory.mktemp("redis"), free_port()
    command = [PROGRAM, "--port", str(found), "--dir", str(folder), "--save", "", "--bind"]
    process = subprocess.Popen([*command, "127.0.0.1"], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with suppress(StepFailedError), target(found).connected(30) as redis:
                redis.ask("ACL", "SETUSER", "weak", "on", ">secret", "~*", "+@read", "+select")
                redis.ask("ACL", "SETUSER", "weak", "+acl|dryrun")
                break
            time.sleep(0.05)
        yield found
    finally:
        process.kill()
        process.wait()


def fill(port: int, count: int) -> None:
    with target(port).connected(30) as redis:
        redis.ask("FLUSHDB")
        for number in range(count):
            redis.ask("SET", f"cart:{number}", "x")
        redis.ask("SET", "config", "x")
        redis.ask("SET", "cart", "x")


def left(port: int) -> object:
    with target(port).connected(30) as redis:
        return redis.ask("DBSIZE")


@pytest.mark.integration
@pytest.mark.parametrize(("asked", "said"), UNFIT.values(), ids=UNFIT.keys())
def test_what_is_not_declared_or_bounded_deletes_nothing(
    asked: PlanStep, said: str, port: int
) -> None:
    fill(port, 3)
    result = hands(target(port)).run(asked, "k")
    assert said in result.error
    assert left(port) == 5


@pytest.mark.integration
def test_only_the_declared_keys_go_and_none_where_there_are_too_many(port: int) -> None:
    fill(port, 1200)
    few = hands(target(port)).run(step("flush", keys="carts", most=1000), "k")
    assert "more than 1000 keys match cart:*; none was deleted" in few.error
    assert left(port) == 1202
    assert hands(target(port)).rehearse(step("flush", keys="carts", most=2000)).seen == "1200 keys"
    done = hands(target(port)).run(step("flush", keys="carts", most=2000), "k")
    assert done.output == "deleted 1200 of 1200 keys of carts (cart:*)"
    assert left(port) == 2
    assert hands(target(port)).run(step("flush", keys="one", most=1), "k").ok
    assert left(port) == 1


@pytest.mark.integration
def test_a_pause_ends_by_itself_and_that_of_another_is_kept(port: int) -> None:
    fill(port, 0)
    one = hands(target(port))
    assert one.run(step("pause", queue="mail", for_s=60), "k").ok
    with target(port).connected(30) as redis:
        assert redis.ask("GET", "rq:suspended") == "incident-copilot k"
        ttl = redis.ask("TTL", "rq:suspended")
        assert isinstance(ttl, int)
        assert 50 < ttl <= 60
    assert one.run(step("pause", queue="mail", for_s=60), "k").ok
    assert one.run(step("resume", queue="mail"), "k").output == "queue mail goes on"
    with target(port).connected(30) as redis:
        assert redis.ask("GET", "rq:suspended") is None
        redis.ask("SET", "rq:suspended", "1")
    for verb in ("pause", "resume"):
        assert "was paused by somebody else" in one.run(step(verb, queue="mail"), "k").error


@pytest.mark.integration
def test_a_user_without_the_right_is_known_before_the_night(port: int) -> None:
    fill(port, 2)
    weak = target(port, user="weak").model_copy(update={"password": SecretStr("secret")})
    asked = step("flush", keys="carts", most=9)
    assert "has no permissions to run the 'unlink' command" in hands(weak).rehearse(asked).refused
    assert "UNLINK: NOPERM" in hands(weak).run(asked, "k").error
    wrong = weak.model_copy(update={"password": SecretStr("guess")})
    result = hands(wrong).run(asked, "k")
    assert "AUTH: WRONGPASS" in result.error
    assert "guess" not in result.error
