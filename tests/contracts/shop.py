"""An hour of a small shop as its exporters would have told it, for a real Prometheus to hold.

`web` calls `pay`, which has two instances. Known are: a gap in the scrapes of both instances of
`pay`, a restart that resets the counters of one, and a slow, failing end.
"""

from collections.abc import Iterator

START = 1_700_000_100.0
"""A multiple of the interval, two hours' blocks apart from nothing in particular."""

EVERY_S = 15.0
COUNT = 241  # one hour
GAP = range(80, 100)
RESET = 160
FAULT = 220
RATE = 10.0
BUCKETS = (0.05, 0.1, 0.5, 2.5)

END = START + EVERY_S * (COUNT - 1)
PAY = ({"service": "pay", "instance": "pay:1"}, {"service": "pay", "instance": "pay:2"})
WEB = {"service": "web", "instance": "web:1"}


def at(step: int) -> float:
    """The time of a scrape."""
    return START + EVERY_S * step


def openmetrics() -> str:
    """The whole hour as text."""
    return "\n".join([*_up(), *_served(), *_called(), *_used(), "# EOF", ""])


def _line(name: str, labels: dict[str, str], value: float, step: int) -> str:
    told = ",".join(f'{k}="{v}"' for k, v in {"job": "shop", **labels}.items())
    return f"{name}{{{told}}} {value:.10g} {at(step):.3f}"


def _scraped(labels: dict[str, str]) -> Iterator[int]:
    """The steps at which the scrape succeeded."""
    return (n for n in range(COUNT) if labels["service"] != "pay" or n not in GAP)


def _up() -> Iterator[str]:
    yield "# TYPE up gauge"
    for labels in (*PAY, WEB):
        down = GAP if labels["service"] == "pay" else range(0)
        for step in range(COUNT):
            yield _line("up", labels, float(step not in down), step)


def _grown(labels: dict[str, str], step: int, per_s: float) -> float:
    """A counter, which began again at the reset for the first instance of `pay`."""
    since = RESET if labels["instance"] == "pay:1" and step >= RESET else 0
    return per_s * EVERY_S * (step - since)


def _failed(labels: dict[str, str], step: int) -> float:
    since = max(FAULT, RESET if labels["instance"] == "pay:1" else 0)
    return 0.5 * RATE * EVERY_S * max(0, step - since)


def _served() -> Iterator[str]:
    name = "http_server_request_duration_seconds"
    yield f"# TYPE {name} histogram"
    for labels in (*PAY, WEB):
        for step in _scraped(labels):
            yield from _histogram(name, labels | {"route": "/", "status": "200"}, step, RATE)
    for labels in PAY:
        for step in (n for n in _scraped(labels) if n >= FAULT):
            failed = labels | {"route": "/", "status": "503"}
            yield _line(f"{name}_count", failed, _failed(labels, step), step)
            yield _line(f"{name}_sum", failed, 2.0 * _failed(labels, step), step)
            for bound in (*BUCKETS, float("inf")):
                told = "+Inf" if bound == float("inf") else f"{bound}"
                value = _failed(labels, step) * (bound >= 2.5)
                yield _line(f"{name}_bucket", failed | {"le": told}, value, step)


def _called() -> Iterator[str]:
    name = "http_client_request_duration_seconds"
    yield f"# TYPE {name} histogram"
    called = WEB | {"callee": "pay:8080", "status": "200"}
    for step in range(COUNT):
        yield from _histogram(name, called, step, 2 * RATE)


def _histogram(name: str, labels: dict[str, str], step: int, per_s: float) -> Iterator[str]:
    """All requests took between 0.05 and 0.1 s."""
    count = _grown(labels, step, per_s)
    yield _line(f"{name}_count", labels, count, step)
    yield _line(f"{name}_sum", labels, 0.08 * count, step)
    for bound in BUCKETS:
        yield _line(f"{name}_bucket", labels | {"le": f"{bound}"}, count * (bound >= 0.1), step)
    yield _line(f"{name}_bucket", labels | {"le": "+Inf"}, count, step)


def _used() -> Iterator[str]:
    for name, values in (
        ("pool_connections_in_use", (4.0, 8.0)),
        ("pool_connections_max", (10.0, 10.0)),
    ):
        yield f"# TYPE {name} gauge"
        for labels, value in zip(PAY, values, strict=True):
            for step in _scraped(labels):
                yield _line(name, labels, value, step)
    yield "# TYPE certificate_expiry_timestamp_seconds gauge"
    for step in range(COUNT):
        yield _line("certificate_expiry_timestamp_seconds", WEB, END + 86_400.0, step)
