"""What a server's metrics cover: sets found, owners, and who has no request metric."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from copilot.sources.prometheus.plan import PlannedQuery, QueryPlan
from copilot.types.checks import Check, requests_of
from tools.types import Owner, Series

OWN_QUERIES = "your own queries"
REQUESTS = frozenset({"req/s", "calls/s"})
"""Units of what a service is asked by its clients; a database's queries are none of these."""


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
            requests_of(self._served.union(elsewhere), self._services),
        )


_NOTHING = Check("metric sets", "missing", "no query has a series now", "is anything scraped?")
