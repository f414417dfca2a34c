"""What a line says of its cause, what it does not say, and whom it names."""

import re

import pytest

from tools.log_retriever.causes import (
    LogSignature,
    catalogue,
    component_of,
    hosts,
    named,
    signature_of,
    telling,
)


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_every_example_matches_its_own_row_and_no_earlier_one(row: LogSignature) -> None:
    assert signature_of(row.example) == row


@pytest.mark.parametrize("row", catalogue(), ids=lambda row: row.name)
def test_every_pattern_is_bounded_and_looks_neither_back_nor_ahead(row: LogSignature) -> None:
    for pattern in (*row.says, *row.spelled):
        assert not re.search(r"\(\?[=!<]|\\[1-9]|[.\])sSwWdD][*+]|\{\d+,\}", pattern), pattern


def test_names_are_unique_and_sources_are_addresses() -> None:
    names = [row.name for row in catalogue()]
    assert len(names) == len(set(names))
    assert all(row.source.startswith("https://") for row in catalogue())


SAID = {
    "a Java heap": ("Exception in thread main java.lang.OutOfMemoryError: Metaspace", "memory"),
    "a PHP limit": ("PHP Fatal error: Allowed memory size of 1048 bytes exhausted", "memory"),
    "a Rust allocation": ("memory allocation of 65536 bytes failed", "memory"),
    "threads": ("RuntimeError: can't start new thread", "pool"),
    "a pool of Rails": ("could not obtain a connection from the pool within 5.000 seconds", "pool"),
    "a pool of .NET": ("all pooled connections were in use and max pool size was reached", "pool"),
    "ports": ("dial tcp 10.0.0.1:80: connect: cannot assign requested address", "pool"),
    "clients of Oracle": ("ORA-00018: maximum number of sessions exceeded", "pool"),
    "clients of MySQL": ("ERROR 1040 (08004): Too many connections", "pool"),
    "a full tablespace": ("ORA-01653: unable to extend table A.B by 8 in tablespace C", "disk"),
    "a full table": ("(1114, \"The table 'sessions' is full\")", "disk"),
    "a failing disk": ("read /data/x: input/output error", "disk"),
    "a resolver": ("java.net.UnknownHostException: rates", "dns"),
    "a certificate": ("Error: CERT_HAS_EXPIRED", "tls"),
    "a clock": ("token used before issued", "clock"),
    "a throttled table": ("ProvisionedThroughputExceededException on table t", "limit"),
    "a limit of gRPC": ("rpc error: code = ResourceExhausted desc = slow down", "limit"),
    "a lock of SQL Server": ("Lock request time out period exceeded.", "lock"),
    "a replica": ("canceling statement due to conflict with recovery", "replica"),
    "a primary that is none": ("MongoServerError: not primary", "readonly"),
    "a sealed file system": ("touch: cannot touch 'x': Read-only file system", "readonly"),
    "MySQL's refusal": ("ERROR 1045 (28000): Access denied for user 'a'@'10.0.0.1'", "credentials"),
    "a key": ("An error occurred (InvalidAccessKeyId) when calling PutObject", "credentials"),
    "a variable": ("fatal: DATABASE_URL is not set", "config"),
    "a port in use": ("listen tcp :8080: bind: address already in use", "config"),
    "a missing queue": ("AWS.SimpleQueueService.NonExistentQueue: no such queue", "config"),
    "a missing table": ("Table 'shop.orders_v2' doesn't exist", "schema"),
    "a nil": ("panic: assignment to entry in nil map", "code"),
    "a unique key": ('duplicate key value violates unique constraint "pk"', "code"),
    "a broker": ("Broker may not be available.", "broker"),
    "a start": ("FATAL:  the database system is starting up", "peer"),
    "a refusal": ("connect ECONNREFUSED 10.0.0.1:5432", "peer"),
    "a delay": ("context deadline exceeded", "peer"),
    "an answer": ("502 Bad Gateway", "peer"),
}


@pytest.mark.parametrize("case", SAID, ids=list(SAID))
def test_a_cause_is_read_in_the_words_of_its_program(case: str) -> None:
    text, family = SAID[case]
    found = signature_of(text)
    assert found is not None
    assert found.family == family


HARMLESS = {
    "an order with the code of an error": "order 71045 accepted",
    "a user with it": "user_1045 logged in",
    "a setting": "starting with max_connections=200",
    "a user who mistypes": "Authentication failed for user bob: wrong password",
    "another one": "Bad credentials",
    "a count that is a status": "429 of 500 items indexed",
    "an id that is a status": "job 503 done",
    "a quota that holds": "quota of tenant 7: 40 of 429 used",
    "a disk that is watched": "disk check: 71 % used",
    "a panic button": "panic button pressed by user 3",
    "a key that is no setting": "KeyError: 'user_id'",
    "a user without a right": "AccessDeniedException: Access is denied for user 7",
    "a connection that ends": "connection closed by client",
    "a certificate that is renewed": "certificate renewed until 2027",
    "a pool that starts": "HikariPool-1 - Start completed.",
}


@pytest.mark.parametrize("case", HARMLESS, ids=list(HARMLESS))
def test_ids_settings_and_mistakes_of_users_are_no_cause(case: str) -> None:
    assert signature_of(HARMLESS[case]) is None


def test_the_root_of_a_long_trace_is_what_is_quoted() -> None:
    frames = "\n\tat com.acme.Orders.find(Orders.java:41)" * 40
    trace = f"request failed{frames}\nCaused by: java.lang.OutOfMemoryError: Java heap space"
    assert "OutOfMemoryError" in telling(trace, 300)
    assert telling("short", 300) == "short"
    assert telling("x" * 400, 300) == "x" * 400


HOSTS = {
    "a URL": ('Post "https://auth.internal:8443/token": EOF', ("auth.internal",)),
    "a user in a URL": ("amqp://app:pw@rabbitmq:5672/x", ("rabbitmq",)),
    "a look-up": ("dial tcp: lookup orders-db on 10.96.0.10:53: no such host", ("orders-db",)),
    "a server of PostgreSQL": ('connection to server at "pg-main" (10.0.0.1)', ("pg-main",)),
    "the same in JSON": ('connection to server at \\"pg-main\\" (10.0.0.1)', ("pg-main",)),
    "a pool of urllib3": ("HTTPSConnectionPool(host='api.x.com', port=443)", ("api.x.com",)),
    "a port": ("Redis connection to session-cache:6379 failed", ("session-cache",)),
    "Kafka's node": ("node 2 (kafka-2.kafka/10.0.7.12:9092)", ("kafka-2.kafka",)),
    "a source file": ("at com.acme.Orders.find(Orders.java:41) main.go:12", ()),
    "an address": ("dial tcp 10.0.0.3:5432: i/o timeout", ()),
    "the host itself": ("connect to localhost:6379", ()),
    "a page to read": ("limit exceeded, see https://stripe.com/rate-limits", ()),
    "a manual": ("https://docs.example.com/errors and https://example.com/docs/x", ()),
}


@pytest.mark.parametrize("case", HOSTS, ids=list(HOSTS))
def test_hosts_are_found_where_a_line_names_a_peer(case: str) -> None:
    text, expected = HOSTS[case]
    assert hosts(text) == expected


@pytest.mark.parametrize(
    ("host", "component"),
    [
        ("orders-db", "orders-db"),
        ("orders-db.prod.svc.cluster.local", "orders-db"),
        ("kafka-2.kafka-headless", "kafka"),
        ("cart-7d9f8b6c5d-x2x4q", "cart"),
        ("api.stripe.com", ""),
    ],
)
def test_a_host_belongs_to_the_component_that_it_is_named_after(host: str, component: str) -> None:
    assert component_of(host, {"orders-db", "kafka", "cart"}) == component


def test_components_are_found_as_words_of_their_own() -> None:
    known = ("inventory", "cart", "mq", "jobs-mq")
    assert named("/inventory.v1.Inventory/Reserve failed", known) == ("inventory",)
    assert named("alarm set on node rabbit@jobs-mq-0", known) == ("jobs-mq",)
