"""A crowd at the front door asks for everything; who asks again asks for what failed."""

import numpy as np
import pytest

from tests.tools.stepped_series import END, ONSET, series
from tools.evidence import number
from tools.log_retriever import novelty
from tools.topology_walker import observe, rank
from tools.types import (
    Edge,
    LogLine,
    Ranking,
    Series,
    SplitLog,
    Telemetry,
    Topology,
    Window,
)

CALLS = (
    ("web", "cart"),
    ("web", "search"),
    ("web", "help"),
    ("cart", "db"),
    ("search", "db"),
    ("cart", "bank"),
)
SHOP = Topology(
    nodes=("web", "cart", "search", "help", "db", "bank"),
    edges=tuple(Edge(caller=a, callee=b) for a, b in CALLS),
    entry="web",
)
WATCHED = ("web", "cart", "search", "help", "db")
LATE = "timed out after 1500 ms calling http://{}:8080/"
EMPTY = "Connection is not available, request timed out after 1500ms"


def located(*moved: Series, said: tuple[tuple[str, str], ...] = ()) -> Ranking:
    """Rank a shop whose other figures stay as they were, with lines that begin at the onset."""
    usual = [series(name, "request_rate", 10.0) for name in WATCHED]
    usual += [series(f"{a}->{b}", "error_pct", 0.1) for a, b in CALLS]
    names = {one.name for one in moved}
    logs = [
        LogLine(float(at), who, *("ERROR", text) if at >= ONSET else ("INFO", "replied"))
        for who, text in said
        for at in np.arange(ONSET - 600.0, END, 10.0)
    ]
    seen = Telemetry(
        window=Window(start=0.0, end=END),
        series=(*(one for one in usual if one.name not in names), *moved),
        topology=SHOP,
        logs=tuple(logs),
    )
    lines = novelty(SplitLog(seen.logs, ONSET))
    return rank(number([*observe(seen, ONSET), *lines]), SHOP)


def asked(**times: float) -> list[Series]:
    """Requests per second rise to so many times the usual ten."""
    return [series(name, "request_rate", 10.0, 10.0 * by) for name, by in times.items()]


def failing(**percent: float) -> list[Series]:
    """Calls of the front door that fail from the onset on."""
    return [series(f"web->{name}", "error_pct", 0.1, to) for name, to in percent.items()]


EVERYBODY_WAITS = (
    ("web", LATE.format("cart")),
    ("cart", EMPTY),
    ("search", LATE.format("db")),
    ("db", EMPTY),
)
CROWDS = {
    "nothing fails": (asked(web=2.4, cart=2.4, search=2.4, help=2.4), ()),
    "most of it fails, and what is asked again does not explain the rest": (
        [
            *asked(web=2.8, cart=1.6, search=1.7, help=1.6),
            *failing(cart=62.0, search=36.0, help=2.0),
        ],
        EVERYBODY_WAITS,
    ),
    "the door lets through what it can": (
        [*asked(web=2.9, cart=1.3, search=1.3, help=1.3), *failing(cart=68.0, search=30.0)],
        EVERYBODY_WAITS,
    ),
}


@pytest.mark.parametrize("case", CROWDS, ids=list(CROWDS))
def test_a_crowd_is_why_everything_behind_the_door_waits(case: str) -> None:
    moved, said = CROWDS[case]
    ranking = located(*moved, said=said)
    first = ranking.candidates[0]
    assert (first.component, first.fault_kind) == ("web", "traffic_surge")
    assert ranking.certainty in ("proven", "likely")


ASKED_AGAIN = {
    "one way fails": (
        [*asked(web=1.7, cart=2.8), *failing(cart=65.0)],
        (("cart", EMPTY),),
        "cart",
    ),
    "what lies behind it is asked again, too": (
        [*asked(web=1.8, cart=2.8, db=2.8), *failing(cart=65.0)],
        (("cart", LATE.format("db")),),
        "db",
    ),
    "all ways fail alike": (
        [
            *asked(web=2.4, cart=2.4, search=2.4, help=2.4, db=2.4),
            *failing(cart=60.0, search=60.0, help=60.0),
        ],
        (("db", EMPTY), ("cart", LATE.format("db"))),
        "db",
    ),
}


@pytest.mark.parametrize("case", ASKED_AGAIN, ids=list(ASKED_AGAIN))
def test_who_asks_again_is_no_crowd(case: str) -> None:
    moved, said, cause = ASKED_AGAIN[case]
    ranking = located(*moved, said=said)
    assert ranking.candidates[0].component == cause
    assert "traffic_surge" not in {one.fault_kind for one in ranking.candidates}


def test_a_crowd_does_not_explain_a_program_that_ran_out_of_memory() -> None:
    crowd = asked(web=1.9, cart=1.9, search=1.9, help=1.9)
    told = (("cart", "java.lang.OutOfMemoryError: Java heap space"),)
    first = located(*crowd, *failing(cart=60.0), said=told).candidates[0]
    assert (first.component, first.fault_kind) == ("cart", "memory_pressure")


@pytest.mark.parametrize(
    ("moved", "line", "kind"),
    [
        (series("cart->bank", "error_pct", 0.1, 100.0), "connect ECONNREFUSED bank:443",
         "dependency_down"),
        (series("cart->bank", "latency_avg_ms", 50.0, 1500.0), LATE.format("bank"),
         "slow_dependency"),
    ],
    ids=["it is down", "it is late"],
)  # fmt: skip
def test_a_line_and_a_call_about_one_outside_are_one_hypothesis(
    moved: Series, line: str, kind: str
) -> None:
    ranking = located(moved, said=(("cart", line),))
    first, *others = ranking.candidates
    assert (first.component, first.fault_kind, first.peer) == ("cart", kind, "bank")
    assert max(one.score for one in others) < 0.5 * first.score
