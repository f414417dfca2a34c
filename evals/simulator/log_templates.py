"""The lines the simulated services write: text with named variables, by what made them write it.

The fields in braces are filled by `log_lines`; these are our own constants, no text from outside
is ever used as a template.
"""

from typing import NamedTuple


class Template(NamedTuple):
    """One kind of line."""

    level: str
    text: str


_ACCESS = (
    Template("INFO", "{method} {path} {status} {ms}ms bytes={bytes} request_id={id}"),
    Template("INFO", 'ip={ip} user=u-{number} "{method} {path} HTTP/1.1" {status} {ms}ms'),
)

ROUTINE: dict[str, tuple[Template, ...]] = {
    "gateway": (
        *_ACCESS,
        Template("INFO", "route matched prefix={path} upstream={callee} request_id={id}"),
        Template("DEBUG", "tls session resumed client={ip} cipher=TLS_AES_128_GCM_SHA256"),
    ),
    "service": (
        *_ACCESS,
        Template("INFO", "handled {operation} for user u-{number} in {ms} ms trace={id}"),
        Template("INFO", "calling {callee} operation={operation} attempt=1 request_id={id}"),
        Template("DEBUG", "loaded {small} items for session {uuid}"),
        Template("INFO", "metrics flushed: {small} series in {small} ms"),
    ),
    "database": (
        Template(
            "LOG", "checkpoint complete: wrote {number} buffers ({small}.{small}%); sync={ms} ms"
        ),
        Template(
            "LOG", "duration: {ms} ms  execute <unnamed>: SELECT * FROM {table} WHERE id = $1"
        ),
        Template("LOG", 'automatic vacuum of table "main.public.{table}": index scans: {small}'),
        Template("LOG", "connection authorized: user=app database=main host={ip} port={port}"),
    ),
    "cache": (
        Template("NOTICE", "{small} changes in 60 seconds. Saving..."),
        Template("NOTICE", "Background saving terminated with success"),
        Template("VERBOSE", "Accepted {ip}:{port}"),
        Template("DEBUG", "DB 0: {number} keys ({number} volatile) in {number} slots HT."),
    ),
}

SYMPTOM: dict[str, tuple[Template, ...]] = {
    "shed": (
        Template("WARN", "request queue full (depth={number}), rejecting request {id} with 503"),
        Template("WARN", "worker pool saturated: {small} runnable tasks, scheduler lag {ms} ms"),
    ),
    "pool": (
        Template(
            "ERROR",
            "{service}-pool - Connection is not available, request timed out after {ms}ms "
            "(total={pool}, active={pool}, idle=0, waiting={small})",
        ),
        Template(
            "ERROR",
            "request {id} failed: could not acquire connection\n"
            "java.sql.SQLTransientConnectionException: {service}-pool - no connection available\n"
            "\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)\n"
            "\tat com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:197)\n"
            "\tat com.example.{operation}.Store.open(Store.java:{small})",
        ),
    ),
    "collection": (
        Template("WARN", "GC pause (G1 Evacuation Pause) {ms}ms, heap {percent}% after collection"),
        Template(
            "WARN", "memory usage {percent}% of limit, evicting {number} entries freed 0 bytes"
        ),
    ),
    "killed": (
        Template(
            "ERROR",
            "java.lang.OutOfMemoryError: Java heap space\n"
            "\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)\n"
            "\tat com.example.{operation}.Session.append(Session.java:{small})",
        ),
        Template("ERROR", "container {service} terminated: OOMKilled exit code 137, restarting"),
    ),
    "flag": (
        Template(
            "ERROR",
            "unhandled exception in feature {flag}, request {id}\n"
            "Traceback (most recent call last):\n"
            '  File "/app/{service}/features.py", line {small}, in apply\n'
            "    amount = table[key]\n"
            "KeyError: 'u-{number}'",
        ),
        Template("ERROR", "{method} {path} 500 {ms}ms error=feature_failed feature={flag}"),
    ),
    "release": (
        Template(
            "ERROR",
            "request {id} failed in release {version}\n"
            'java.lang.NullPointerException: cannot invoke "Money.unit()": "total" is null\n'
            "\tat com.example.{operation}.Handler.map(Handler.java:{small})\n"
            "\tat com.example.{operation}.Handler.handle(Handler.java:{small})",
        ),
        Template(
            "WARN", "schema mismatch: field 'total' missing in reply, version={version} id={id}"
        ),
    ),
    "disk": (
        Template(
            "ERROR",
            "could not write to file /var/lib/{service}/segment-{number}: No space left on device",
        ),
        Template(
            "PANIC", "write failed: errno=28 (ENOSPC) path=/var/lib/{service}/wal size={bytes}"
        ),
    ),
    "filling": (
        Template(
            "WARN", "volume /var/lib/{service} at {percent}% of capacity, debug log {bytes} bytes"
        ),
    ),
    "restart": (
        Template("INFO", "received SIGTERM, draining {small} connections"),
        Template("INFO", "{service} started in {ms} ms, listening on :{port}"),
    ),
    "started": (
        Template("INFO", "starting {service} version {version} build {id}"),
        Template("INFO", "release {version} ready, health check passed after {ms} ms"),
    ),
}

CALL_SYMPTOM: dict[str, tuple[Template, ...]] = {
    "timeout": (
        Template("WARN", "call to {callee} timed out after {timeout}ms (request {id})"),
        Template(
            "ERROR", "deadline exceeded waiting for {callee}: {timeout} ms, operation={operation}"
        ),
    ),
    "refused": (
        Template("ERROR", "dial tcp {ip}:{port}: connect: connection refused ({callee})"),
        Template("ERROR", "{callee} unavailable: all {small} endpoints are failing health checks"),
    ),
    "reset": (
        Template("WARN", "connection to {callee} reset by peer after {ms} ms, bytes_read={small}"),
        Template("WARN", "retransmission timeout talking to {callee} ({ip}:{port})"),
    ),
    "upstream": (
        Template("ERROR", "request {id} failed: {callee} answered 503"),
        Template("WARN", "{callee} returned an error for {operation}, giving up after {ms} ms"),
    ),
    "fallback": (
        Template("INFO", "breaker for {callee} is open, serving stored reply for request {id}"),
    ),
}
