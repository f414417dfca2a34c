"""The lines the simulated services write: text with named variables, by what made them write it.

The fields in braces are filled by `log_lines`; these are our own constants, no text from outside
is ever used as a template.
"""

from typing import NamedTuple


class LineTemplate(NamedTuple):
    """One kind of line."""

    level: str
    text: str


_ACCESS = (
    LineTemplate("INFO", "{method} {path} {status} {ms}ms bytes={bytes} request_id={id}"),
    LineTemplate("INFO", 'ip={ip} user=u-{number} "{method} {path} HTTP/1.1" {status} {ms}ms'),
)

ROUTINE: dict[str, tuple[LineTemplate, ...]] = {
    "gateway": (
        *_ACCESS,
        LineTemplate("INFO", "route matched prefix={path} upstream={callee} request_id={id}"),
        LineTemplate("DEBUG", "tls session resumed client={ip} cipher=TLS_AES_128_GCM_SHA256"),
    ),
    "service": (
        *_ACCESS,
        LineTemplate("INFO", "handled {operation} for user u-{number} in {ms} ms trace={id}"),
        LineTemplate("INFO", "calling {callee} operation={operation} attempt=1 request_id={id}"),
        LineTemplate("DEBUG", "loaded {small} items for session {uuid}"),
        LineTemplate("INFO", "metrics flushed: {small} series in {small} ms"),
    ),
    "database": (
        LineTemplate(
            "LOG", "checkpoint complete: wrote {number} buffers ({small}.{small}%); sync={ms} ms"
        ),
        LineTemplate(
            "LOG", "duration: {ms} ms  execute <unnamed>: SELECT * FROM {table} WHERE id = $1"
        ),
        LineTemplate(
            "LOG", 'automatic vacuum of table "main.public.{table}": index scans: {small}'
        ),
        LineTemplate("LOG", "connection authorized: user=app database=main host={ip} port={port}"),
    ),
    "cache": (
        LineTemplate("NOTICE", "{small} changes in 60 seconds. Saving..."),
        LineTemplate("NOTICE", "Background saving terminated with success"),
        LineTemplate("VERBOSE", "Accepted {ip}:{port}"),
        LineTemplate("DEBUG", "DB 0: {number} keys ({number} volatile) in {number} slots HT."),
    ),
}

SYMPTOM: dict[str, tuple[LineTemplate, ...]] = {
    "shed": (
        LineTemplate(
            "WARN", "request queue full (depth={number}), rejecting request {id} with 503"
        ),
        LineTemplate(
            "WARN", "worker pool saturated: {small} runnable tasks, scheduler lag {ms} ms"
        ),
    ),
    "pool": (
        LineTemplate(
            "ERROR",
            "{service}-pool - Connection is not available, request timed out after {ms}ms "
            "(total={pool}, active={pool}, idle=0, waiting={small})",
        ),
        LineTemplate(
            "ERROR",
            "request {id} failed: could not acquire connection\n"
            "java.sql.SQLTransientConnectionException: {service}-pool - no connection available\n"
            "\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)\n"
            "\tat com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:197)\n"
            "\tat com.example.{operation}.Store.open(Store.java:{small})",
        ),
    ),
    "collection": (
        LineTemplate(
            "WARN", "GC pause (G1 Evacuation Pause) {ms}ms, heap {percent}% after collection"
        ),
        LineTemplate(
            "WARN", "memory usage {percent}% of limit, evicting {number} entries freed 0 bytes"
        ),
    ),
    "killed": (
        LineTemplate(
            "ERROR",
            "java.lang.OutOfMemoryError: Java heap space\n"
            "\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)\n"
            "\tat com.example.{operation}.Session.append(Session.java:{small})",
        ),
        LineTemplate(
            "ERROR", "container {service} terminated: OOMKilled exit code 137, restarting"
        ),
    ),
    "flag": (
        LineTemplate(
            "ERROR",
            "unhandled exception in feature {flag}, request {id}\n"
            "Traceback (most recent call last):\n"
            '  File "/app/{service}/features.py", line {small}, in apply\n'
            "    amount = table[key]\n"
            "KeyError: 'u-{number}'",
        ),
        LineTemplate("ERROR", "{method} {path} 500 {ms}ms error=feature_failed feature={flag}"),
    ),
    "release": (
        LineTemplate(
            "ERROR",
            "request {id} failed in release {version}\n"
            'java.lang.NullPointerException: cannot invoke "Money.unit()": "total" is null\n'
            "\tat com.example.{operation}.Handler.map(Handler.java:{small})\n"
            "\tat com.example.{operation}.Handler.handle(Handler.java:{small})",
        ),
        LineTemplate(
            "WARN", "schema mismatch: field 'total' missing in reply, version={version} id={id}"
        ),
    ),
    "disk": (
        LineTemplate(
            "ERROR",
            "could not write to file /var/lib/{service}/segment-{number}: No space left on device",
        ),
        LineTemplate(
            "PANIC", "write failed: errno=28 (ENOSPC) path=/var/lib/{service}/wal size={bytes}"
        ),
    ),
    "filling": (
        LineTemplate(
            "WARN", "volume /var/lib/{service} at {percent}% of capacity, debug log {bytes} bytes"
        ),
    ),
    "restart": (
        LineTemplate("INFO", "received SIGTERM, draining {small} connections"),
        LineTemplate("INFO", "{service} started in {ms} ms, listening on :{port}"),
    ),
    "started": (
        LineTemplate("INFO", "starting {service} version {version} build {id}"),
        LineTemplate("INFO", "release {version} ready, health check passed after {ms} ms"),
    ),
}

CALL_SYMPTOM: dict[str, tuple[LineTemplate, ...]] = {
    "timeout": (
        LineTemplate("WARN", "call to {callee} timed out after {timeout}ms (request {id})"),
        LineTemplate(
            "ERROR", "deadline exceeded waiting for {callee}: {timeout} ms, operation={operation}"
        ),
    ),
    "refused": (
        LineTemplate("ERROR", "dial tcp {ip}:{port}: connect: connection refused ({callee})"),
        LineTemplate(
            "ERROR", "{callee} unavailable: all {small} endpoints are failing health checks"
        ),
    ),
    "reset": (
        LineTemplate(
            "WARN", "connection to {callee} reset by peer after {ms} ms, bytes_read={small}"
        ),
        LineTemplate("WARN", "retransmission timeout talking to {callee} ({ip}:{port})"),
    ),
    "upstream": (
        LineTemplate("ERROR", "request {id} failed: {callee} answered 503"),
        LineTemplate("WARN", "{callee} returned an error for {operation}, giving up after {ms} ms"),
    ),
    "fallback": (
        LineTemplate("INFO", "breaker for {callee} is open, serving stored reply for request {id}"),
    ),
}
