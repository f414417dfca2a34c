"""What a server's metrics cover: sets found, owners, and who has no request metric."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence, Set

from copilot.sources.prometheus.plan import PlannedQuery, QueryPlan
from copilot.types.checks import Check
from tools.types import Owner, Series

OWN_QUERIES = "your own queries"
REQUESTS = frozenset({"req/s", "calls/s"})
"""Units of what a service is asked by its clients; a database's queries are none of these."""

NAMED = 8
"""Names in one line; more are counted."""


class MetricCoverage:
    """Series that one look found, with the queries that asked for them."""

    def __init__(self, found: Iterable[tuple[PlannedQuery, Series]]) -> None:
        self._series: set[str] = set()
        self._owners: set[str] = set()
        self._sets: dict[str, set[str]] = defaultdict(set)
        self._served: set[str] = set()
        self._services: set[str] = set()
        for asked, one in found:
            self._series.add(one.name)
            self._owners.add(one.owner)
            self._sets[asked.query.set or OWN_QUERIES].add(one.owner)
            owner = Owner.parse(one.owner)
            if one.unit in REQUESTS:
                self._served.add(owner.service)
            elif owner.kind == "service" and not asked.query.exporter and asked.query.of != "up":
                self._services.add(owner.service)

    def summary(self, server: str, plan: QueryPlan) -> str:
        """The server and what a look at it costs."""
        return (
            f"{server}: {len(self._series)} series of {len(self._owners)} owners by "
            f"{len(plan.asked)} queries a look, every {plan.step_s:g} s"
        )

    def checks(
        self, server: str, plan: QueryPlan, problems: Sequence[str], elsewhere: Collection[str]
    ) -> Sequence[Check]:
        """The look, the sets with the number of their owners, and who has request metrics.

        `elsewhere` are services whose requests another source measures.
        """
        sets = ", ".join(f"{name} {len(owners)}" for name, owners in self._sets.items())
        found = Check("metric sets", "ok", f"owners in each: {sets}")
        return (
            Check("metrics", "ok", self.summary(server, plan), "; ".join(problems)),
            found if sets else _NOTHING,
            self._requests(self._served.union(elsewhere)),
        )

    def _requests(self, served: Set[str]) -> Check:
        silent = _named(self._services - served)
        if served:
            plural = "" if len(served) == 1 else "s"
            found = f"measured of {len(served)} service{plural}: {_named(served)}"
            return Check("requests", "ok", found, f"not measured of: {silent}" if silent else "")
        known = f" (other metrics are there of: {silent})" if silent else ""
        return Check("requests", "missing", f"measured of no service{known}", _ADVICE)


_NOTHING = Check("metric sets", "missing", "no query has a series now", "is anything scraped?")
_ADVICE = (
    "without rate, errors and latency a fault is seen late: scrape a request histogram "
    "(OpenTelemetry, Micrometer, a mesh, an ingress), or name yours in COPILOT_PROMETHEUS_QUERIES"
)


def _named(names: Set[str]) -> str:
    more = len(names) - NAMED
    shown = ", ".join(sorted(names)[:NAMED])
    return f"{shown} and {more} more" if more > 0 else shown
