"""One session is ended, found again just before; another one, or what it does by now, never is."""

import getpass
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import psycopg
import pymysql
import pytest

from copilot.hands.database import (
    DatabaseRunner,
    DatabaseTarget,
    FactsWithSessions,
    limit_refusal,
    refusal,
)
from copilot.hands.dialects import ConnectionLimit, DatabaseSession
from copilot.sources.clock import SystemClock
from copilot.sources.deployment import UnconfiguredSource
from tools.playbook_executor.vocabulary import LimitArguments, SessionArguments
from tools.types import PlanStep

TOKEN = "4711-1772546400123456-0123456789ab"
FOUND = DatabaseSession(
    session=TOKEN,
    pid=4711,
    owner="shop",
    state="active",
    query="UPDATE stock SET n = n - 1",
    for_s=30.0,
    blocks=3,
    waits_for=0,
    above=False,
    ours=False,
    mighty=False,
    may_signal=True,
)
END = SessionArguments(verb="end_session", database="d", session=TOKEN, blocks=1, for_s=5)
CANCEL = END.model_copy(update={"verb": "cancel_query"})
TARGET = DatabaseTarget(url="postgresql://copilot@db/orders", users=("shop",))


def database_step(session: str, **changes: object) -> PlanStep:
    """A step that ends a session of the database `d` for which one waits for a second."""
    wanted = {"verb": "end_session", "blocks": 1, "for_s": 1, **changes}
    arguments = {"database": "d", "session": session, **wanted}
    return PlanStep.model_validate(
        {"index": 0, "title": "t", "action": "database", "arguments": arguments}
    )


LEFT_ALONE = {
    "another query by now": (END, {"session": TOKEN[:-1] + "0"}, "does something else by now"),
    "nobody waits any more": (END, {"blocks": 0}, "at least 1 have to wait for it"),
    "too short": (END, {"for_s": 2.0}, "has to have run for 5 s"),
    "another user's": (END, {"owner": "billing"}, "sessions of 'billing' are not to be ended"),
    "a superuser's": (END, {"above": True}, "are not to be ended here"),
    "without the right": (END, {"may_signal": False}, "grant pg_signal_backend"),
    "a query that is hidden": (END, {"query": "<insufficient privilege>"}, "pg_read_all_stats"),
    "idle, to cancel": (CANCEL, {"state": "idle in transaction"}, "no query to cancel"),
}


@pytest.mark.parametrize(("asked", "now", "said"), LEFT_ALONE.values(), ids=LEFT_ALONE.keys())
def test_what_is_not_that_very_session_is_left_alone(
    asked: SessionArguments, now: dict[str, Any], said: str
) -> None:
    assert said in refusal(TARGET, asked, FOUND._replace(**now))


@pytest.mark.parametrize("asked", [END, CANCEL])
@pytest.mark.parametrize("right", ["may_signal", "ours", "mighty"])
def test_with_any_of_the_rights_it_is_ended(asked: SessionArguments, right: str) -> None:
    rights: dict[str, Any] = dict.fromkeys(("may_signal", "ours", "mighty"), False) | {right: True}
    assert refusal(TARGET, asked, FOUND._replace(**rights)) == ""


def test_a_database_that_is_away_fails_the_step_and_tells_no_fact() -> None:
    away = DatabaseTarget(url="postgresql://u@127.0.0.1:1/d", component="orders-db")
    result = DatabaseRunner({"d": away}, SystemClock()).run(database_step(TOKEN), "k")
    assert "postgresql://u@127.0.0.1:1/d said: " in result.error

    class Told:
        def facts(self) -> dict[str, str | float]:
            return {"kind:orders-db": "database"}

    assert FactsWithSessions(Told(), {"d": away}).facts() == {"kind:orders-db": "database"}


# --- against a real PostgreSQL -------------------------------------------------------------------

_NUMBERS = count(1)


def entered(folder: str, user: str = "shop") -> psycopg.Connection:
    return psycopg.connect(host=folder, user=user, dbname="postgres")


@contextmanager
def blocked(folder: str) -> Iterator[threading.Event]:
    """A session holds a row and another waits for it; the event is set when the other goes on."""
    table, went_on = f"stock{next(_NUMBERS)}", threading.Event()
    with entered(folder) as holder, entered(folder) as other:
        other.autocommit = True
        other.execute(f"CREATE TABLE {table} AS SELECT 1 AS n".encode())
        holder.execute(f"UPDATE {table} SET n = 2".encode())

        def wait() -> None:
            other.execute(f"UPDATE {table} SET n = 3".encode())
            went_on.set()

        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        try:
            yield went_on
        finally:
            with suppress(psycopg.Error):
                holder.rollback()
            waiter.join(10)


@pytest.fixture(scope="module")
def shop(postgresql: str) -> str:
    with entered(postgresql, "copilot") as server:
        server.execute("CREATE ROLE shop LOGIN")
        server.execute("GRANT CREATE ON SCHEMA public TO shop")
        server.execute("CREATE ROLE hand LOGIN IN ROLE pg_signal_backend, pg_read_all_stats")
        server.execute("CREATE ROLE weak LOGIN IN ROLE pg_read_all_stats")
    return postgresql


def target(folder: str, user: str = "hand", **fields: object) -> DatabaseTarget:
    url = f"postgresql://{user}@/postgres?host={folder}"
    return DatabaseTarget.model_validate({"url": url, "component": "orders-db", **fields})


def blocking(one: DatabaseTarget) -> str:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        told = FactsWithSessions(UnconfiguredSource("facts"), {"orders": one}).facts()
        if "blocking_session:orders-db" in told:
            assert told["database:orders-db"] == "orders"
            assert told["blocked_sessions:orders-db"] == 1.0
            return str(told["blocking_session:orders-db"])
        time.sleep(0.05)
    raise AssertionError("nobody blocks")


@pytest.mark.integration
def test_the_session_that_blocks_is_a_fact_and_is_ended(shop: str) -> None:
    one = target(shop, users=("shop",))
    hands = DatabaseRunner({"d": one}, SystemClock())
    with blocked(shop) as went_on:
        session = blocking(one)
        early = hands.run(database_step(session, for_s=60), "k")
        assert "has to have run for 60 s" in early.error
        time.sleep(1.0)
        rehearsed = hands.rehearse(database_step(session))
        assert "1 wait for it: UPDATE stock" in rehearsed.seen
        assert rehearsed.refused == ""
        ended = hands.run(database_step(session), "k")
        assert ended.ok, ended.error
        assert went_on.wait(10)
        again = hands.run(database_step(session), "k")
        assert again.output == f"session {session} is gone already"


@pytest.mark.integration
def test_a_session_that_does_something_else_by_now_is_left(shop: str) -> None:
    with entered(shop) as other:
        other.autocommit = True
        row = other.execute(
            "SELECT pid || '-' || (extract(epoch FROM backend_start) * 1000000)::bigint "
            "FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        ).fetchone()
        assert row is not None
        hands = DatabaseRunner({"d": target(shop)}, SystemClock())
        result = hands.run(database_step(f"{row[0]}-0123456789ab", blocks=0), "k")
        assert "does something else by now" in result.error
        other.execute("SELECT 1")  # it is still there


@pytest.mark.integration
def test_a_query_is_cancelled_and_its_session_lives_on(shop: str) -> None:
    with entered(shop) as other:
        other.autocommit = True
        failed: list[Exception] = []

        def run() -> None:
            try:
                other.execute("SELECT pg_sleep(60)")
            except psycopg.Error as error:
                failed.append(error)

        runner = threading.Thread(target=run, daemon=True)
        runner.start()
        time.sleep(1.3)
        with entered(shop) as looking:
            row = looking.execute(
                "SELECT pid || '-' || (extract(epoch FROM backend_start) * 1000000)::bigint "
                "|| '-' || left(md5(query), 12) FROM pg_stat_activity "
                "WHERE query = 'SELECT pg_sleep(60)'"
            ).fetchone()
        assert row is not None
        hands = DatabaseRunner({"d": target(shop)}, SystemClock())
        done = hands.run(database_step(row[0], verb="cancel_query", blocks=0), "k")
        assert done.ok, done.error
        runner.join(10)
        assert isinstance(failed[0], psycopg.errors.QueryCanceled)
        other.execute("SELECT 1")


@pytest.mark.integration
def test_a_user_without_the_right_is_known_before_the_night(shop: str) -> None:
    with blocked(shop):
        one = target(shop, "weak")
        session = blocking(one)
        time.sleep(1.0)
        hands = DatabaseRunner({"d": one}, SystemClock())
        assert "grant pg_signal_backend" in hands.rehearse(database_step(session)).refused
        assert "grant pg_signal_backend" in hands.run(database_step(session), "k").error


# --- against a real MariaDB ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a MariaDB of its own, with the users shop, hand and weak."""
    server, install = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if server is None or install is None:
        pytest.skip("mariadbd is not installed")
    folder = tmp_path_factory.mktemp("mariadb")
    socket, own = folder / "s", [f"--datadir={folder / 'data'}", f"--user={getpass.getuser()}"]
    made = [install, "--no-defaults", *own, "--auth-root-authentication-method=normal"]
    subprocess.run([*made, "--skip-test-db"], check=True, capture_output=True)
    process = subprocess.Popen(
        [server, "--no-defaults", *own, f"--socket={socket}", "--skip-networking"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 60
        while not socket.exists():
            assert time.monotonic() < until, "mariadbd did not start"
            time.sleep(0.05)
        with in_mariadb(str(socket), "root") as root, root.cursor() as told:
            for statement in GRANTED:
                told.execute(statement)
        yield str(socket)
    finally:
        process.terminate()
        process.wait(30)


GRANTED = (
    "CREATE DATABASE shop",
    "CREATE TABLE shop.stock (id INT PRIMARY KEY, n INT) ENGINE=InnoDB",
    "INSERT INTO shop.stock VALUES (1, 1)",
    "CREATE USER shop@localhost, hand@localhost, weak@localhost",
    "GRANT ALL ON shop.* TO shop@localhost",
    "GRANT PROCESS, CONNECTION ADMIN, SUPER ON *.* TO hand@localhost",
    "GRANT PROCESS ON *.* TO weak@localhost",
)


def in_mariadb(socket: str, user: str) -> "pymysql.Connection[Any]":
    return pymysql.connect(unix_socket=socket, user=user, connect_timeout=5)


@contextmanager
def held_row(socket: str) -> Iterator[tuple[Any, threading.Event]]:
    """A session of the shop holds a row, another waits; the event is set when it goes on."""
    went_on = threading.Event()
    with in_mariadb(socket, "shop") as holder, in_mariadb(socket, "shop") as other:
        holder.cursor().execute("UPDATE shop.stock SET n = 2 WHERE id = 1")

        def wait() -> None:
            other.cursor().execute("UPDATE shop.stock SET n = 3 WHERE id = 1")
            other.rollback()
            went_on.set()

        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        try:
            yield other, went_on
        finally:
            with suppress(pymysql.err.Error):
                holder.rollback()
            waiter.join(10)


def maria(socket: str, user: str = "hand", **fields: object) -> DatabaseTarget:
    url = f"mysql+pymysql://{user}@localhost/?unix_socket={socket}"
    given = {"url": url, "component": "orders-db", "users": ("shop",), **fields}
    return DatabaseTarget.model_validate(given)


def told_of(one: DatabaseTarget, fact: str) -> Any:
    until = time.monotonic() + 10
    while True:
        facts = FactsWithSessions(UnconfiguredSource("facts"), {"d": one}).facts()
        if f"{fact}:orders-db" in facts or time.monotonic() > until:
            return facts[f"{fact}:orders-db"]
        time.sleep(0.1)


@pytest.mark.integration
def test_the_session_that_blocks_in_mariadb_is_a_fact_and_is_ended(mariadb: str) -> None:
    one = maria(mariadb)
    runner = DatabaseRunner({"d": one}, SystemClock())
    with held_row(mariadb) as (_, went_on):
        step = database_step(told_of(one, "blocking_session"), for_s=1)
        time.sleep(1.1)
        assert runner.rehearse(step).refused == ""
        assert not went_on.is_set()
        weak = DatabaseRunner({"d": maria(mariadb, "weak")}, SystemClock())
        assert "grant CONNECTION ADMIN" in weak.run(step, "k").error
        others = DatabaseRunner({"d": maria(mariadb, users=("billing",))}, SystemClock())
        assert "sessions of 'shop' are not to be ended here" in others.run(step, "k").error
        done = runner.run(step, "k")
        assert done.ok, done.error
        assert went_on.wait(10)
        assert "is gone already" in runner.run(step, "k").output


@pytest.mark.integration
def test_a_query_of_mariadb_is_cancelled_and_its_session_goes_on(mariadb: str) -> None:
    one = maria(mariadb)
    runner = DatabaseRunner({"d": one}, SystemClock())
    with in_mariadb(mariadb, "shop") as other:
        ended = threading.Event()

        def query() -> None:
            with suppress(pymysql.err.Error):
                other.cursor().execute("SELECT sleep(30)")
            ended.set()

        slow = threading.Thread(target=query, daemon=True)
        slow.start()
        time.sleep(1.2)
        with one.connected() as connection:
            (found,) = [
                session
                for number in range(1, 200)
                if (session := one.dialect.session(connection, f"{number}-0-{'0' * 12}"))
                and "sleep(30)" in session.query
            ]
        step = database_step(found.session, verb="cancel_query", blocks=0, for_s=1)
        done = runner.run(step, "k")
        assert done.ok, done.error
        assert ended.wait(10)
        slow.join(10)
        assert other.cursor().execute("SELECT 1") == 1
        other_query = database_step(found.session[:-12] + "0" * 12, verb="cancel_query", blocks=0)
        assert "does something else by now" in runner.run(other_query, "k").error


def limit_step(before: int, value: int) -> PlanStep:
    """A step that lets the database `d` take `value` connections instead of `before`."""
    arguments = {"verb": "set_limit", "database": "d", "limit": "connections"}
    return PlanStep.model_validate(
        {
            "index": 0,
            "title": "t",
            "action": "database",
            "arguments": {**arguments, "before": before, "value": value},
        }
    )


LIMITS = {
    "raised": (100, 150, ConnectionLimit(100, 90, 500), 200, ""),
    "set back": (150, 100, ConnectionLimit(150, 90, 500), 200, ""),
    "above the bound": (100, 250, ConnectionLimit(100, 90, 500), 200, "at most 200 are allowed"),
    "lowered where nothing is to be set": (
        *(150, 100, ConnectionLimit(150, 90, 500), 0),
        "at most 0 are allowed",
    ),
    "above what the server takes": (
        *(100, 150, ConnectionLimit(100, 90, 100), 200),
        "takes 100 at most until it is restarted",
    ),
    "another than was planned from": (
        *(100, 150, ConnectionLimit(120, 90, 500), 200),
        "it was planned from 100",
    ),
}


@pytest.mark.parametrize(
    ("before", "value", "found", "bound", "said"), LIMITS.values(), ids=LIMITS.keys()
)
def test_a_limit_is_set_only_within_every_bound(
    before: int, value: int, found: ConnectionLimit, bound: int, said: str
) -> None:
    wanted = LimitArguments(
        verb="set_limit", database="d", limit="connections", before=before, value=value
    )
    bounded = TARGET.model_copy(update={"most_connections": bound})
    refused = limit_refusal(bounded, wanted, found)
    assert said in refused
    assert bool(refused) == bool(said)


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_a_limit_is_raised_within_its_bounds_and_set_back(
    kind: str, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue("mariadb" if kind == "mariadb" else "shop")
    make = maria if kind == "mariadb" else target
    user = "hand" if kind == "mariadb" else "copilot"
    with make(place, user).connected() as connection:
        dialect = make(place, user).dialect
        if kind == "postgresql":
            assert dialect.limit(connection).most == dialect.limit(connection).highest
            dialect.set_limit(connection, 50)
        most = dialect.limit(connection).most
    runner = DatabaseRunner({"d": make(place, user, most_connections=most + 40)}, SystemClock())
    assert f"at most {most + 40}" in runner.rehearse(limit_step(most, most + 45)).refused
    raised = runner.run(limit_step(most, most + 20), "k")
    assert raised.ok, raised.error
    assert f"connections {most} -> {most + 20}" in raised.output
    assert "already" in runner.run(limit_step(most, most + 20), "k").output
    assert runner.run(limit_step(most + 20, most), "k").ok
    if kind == "postgresql":
        more = limit_step(most, most + 70)
        assert "at most until it is restarted" in runner.rehearse(more).refused


def test_a_limit_is_not_multiplied() -> None:
    done = DatabaseRunner({"d": TARGET}, SystemClock()).run(limit_step(100, 400), "k")
    assert "within a third and three times 100" in done.error
