"""Which routes of a service fail, refuse or are slow more often since a moment.

Read from its access log (`access`), counted per route and over all routes, and tested as templates
are: the share of a route's requests before and since, with Benjamini-Hochberg over all tests.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from pydantic import Field

from tools.log_retriever.access import Request
from tools.log_retriever.changes import AnsweredRequest, NoveltyConfig, Periods
from tools.log_retriever.masks import VARIABLE
from tools.log_retriever.miner import PLACEHOLDER
from tools.log_retriever.redact import Vault, excerpt
from tools.log_retriever.significance import RateChange, discoveries, rate_change
from tools.types import Finding, FrozenModel

RequestFault = Literal["requests_failed", "requests_rejected", "requests_slow"]
_SAID: dict[RequestFault, str] = {
    "requests_failed": "answered 5xx to",
    "requests_rejected": "answered 4xx to",
    "requests_slow": "was slow for",
}
_ALL = "all routes"
_TOLD = re.compile(r"[A-Z]{3,8} \S+ [1-5]\d\d")


class RequestConfig(FrozenModel):
    """How routes are told apart and what is slow.

    More than `most_siblings` names in one place of a path are values (`/product/red-shoes`), not
    routes; more than `most_routes` routes of a service that change alike are told as one. Slow is
    above the percentile `slow` of at least `least_timed` earlier requests. `uncompared` is the
    strength where there is no earlier log; `quoted` bounds a route in a statement.
    """

    most_siblings: int = Field(default=16, ge=2)
    most_routes: int = Field(default=3, ge=1)
    slow: float = Field(default=95.0, gt=50, lt=100)
    least_timed: int = Field(default=20, ge=2)
    uncompared: float = Field(default=0.1, gt=0)
    quoted: int = Field(default=120, ge=16)


_LIMITS = RequestConfig()


@dataclass(slots=True)
class RouteTally:
    """The requests of one route of one service, before the onset and since."""

    service: str
    route: str
    before: list[AnsweredRequest] = field(default_factory=list)
    after: list[AnsweredRequest] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RouteChange:
    """What became more frequent among a route's requests, and how sure that is.

    `usual` is how many earlier requests it is compared with, `past` how many of them were such;
    `limit` is what a slow one took longer than.
    """

    tally: RouteTally
    name: RequestFault
    usual: int
    past: int
    since: tuple[AnsweredRequest, ...]
    test: RateChange
    limit: float | None = None


def told_as_requests(template: str) -> bool:
    """Whether a template is that of an access log, so that `request_findings` tells of it."""
    return _TOLD.fullmatch(template) is not None


def request_findings(
    answered: Sequence[Sequence[AnsweredRequest]], periods: Periods, config: NoveltyConfig
) -> list[Finding]:
    """Findings about requests that more often fail (5xx), are rejected (4xx) or slow since then.

    `answered` are those before the onset and those since.
    `value` and `baseline` are such requests per minute; the shares of all requests of the route are
    in `figures`. Failures never seen before are always told. Slow is what took longer than 95 of
    100 did before. Without an earlier request of the route the service's others are compared with.
    Strongest first.
    """
    tallies = _tallies(answered)
    earlier: dict[str, list[AnsweredRequest]] = {
        one.service: one.before for one in tallies if one.route == _ALL
    }
    changes = [c for one in tallies for c in _changes(one, earlier[one.service], config)]
    tests = max(1, len(tallies) * len(_SAID))
    kept = discoveries([c.test.p_value for c in changes], tests, config.false_discovery_rate)
    # As with error lines: what failed and never did before is told whatever chance says.
    new = [c.name == "requests_failed" and not c.past for c in changes]
    found = [c for c, sure, first in zip(changes, kept, new, strict=True) if sure or first]
    vault = Vault()
    findings = [_finding(change, periods, vault, config) for change in _folded(found, config)]
    return sorted(findings, key=lambda one: (-one.strength, one.subject, one.query))


def _tallies(answered: Sequence[Sequence[AnsweredRequest]]) -> list[RouteTally]:
    found: dict[tuple[str, str], RouteTally] = {}
    routes = _routes(one for period in answered for one in period)
    for is_after, period in enumerate(answered):
        for one in period:
            service, request = one.line.service, one.request
            for route in (f"{request.method} {routes[service][request.route]}", _ALL):
                counted = found.setdefault((service, route), RouteTally(service, route))
                (counted.after if is_after else counted.before).append(one)
    return [found[key] for key in sorted(found)]


def _routes(answered: Iterable[AnsweredRequest]) -> Mapping[str, dict[str, str]]:
    """Per service what each route is told as: where names are too many they are values."""
    routes: dict[str, dict[str, str]] = defaultdict(dict)
    for one in answered:
        routes[one.line.service][one.request.route] = one.request.route
    for known in routes.values():
        for depth in range(1, max(route.count("/") for route in known) + 1):
            _fold_siblings(known, depth)
    return routes


def _fold_siblings(told: dict[str, str], depth: int) -> None:
    """Take the names at one depth of the paths for values where one place has too many."""
    split = {route: told[route].split("/") for route in told}
    deep = {route: parts for route, parts in split.items() if len(parts) > depth}
    beside: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for parts in deep.values():
        beside[tuple(parts[:depth])].add(parts[depth])
    for route, parts in deep.items():
        if len(beside[tuple(parts[:depth])]) > _LIMITS.most_siblings:
            told[route] = "/".join((*parts[:depth], VARIABLE, *parts[depth + 1 :]))


def _changes(
    counted: RouteTally, of_service: Sequence[AnsweredRequest], config: NoveltyConfig
) -> list[RouteChange]:
    """What is more frequent since the onset among the requests of one route."""
    usual = counted.before or of_service
    if not counted.after:
        return []
    if not usual:
        failed = tuple(one for one in counted.after if one.request.failed)
        unknown = RouteChange(counted, "requests_failed", 0, 0, failed, RateChange(0.0, 1.0))
        return [unknown] if failed else []
    limit = _slow_from(counted, config)
    picks: dict[RequestFault, Callable[[Request], bool]] = {
        "requests_failed": lambda request: request.failed,
        "requests_rejected": lambda request: request.rejected,
        "requests_slow": lambda request: limit is not None and _longer(request, limit),
    }
    found: list[RouteChange] = []
    for name, is_such in picks.items():
        since = tuple(one for one in counted.after if is_such(one.request))
        past = sum(is_such(one.request) for one in usual)
        test = rate_change(past, len(since), len(usual), len(counted.after), 1.0)
        ratio = len(since) * len(usual) / max(past * len(counted.after), 1)
        if since and test.statistic > 0 and (not past or ratio >= config.min_ratio):
            found.append(RouteChange(counted, name, len(usual), past, since, test, limit))
    return found


def _longer(request: Request, limit: float) -> bool:
    """Whether an answered request took longer; what failed is told as failed."""
    return request.took is not None and request.took > limit and not request.failed


def _slow_from(counted: RouteTally, config: NoveltyConfig) -> float | None:
    """The 95th percentile before the onset, None unless that since is `min_ratio` times as long."""
    before, after = (
        [one.request.took for one in period if one.request.took is not None]
        for period in (counted.before, counted.after)
    )
    if len(before) < _LIMITS.least_timed or not after:
        return None
    usual, now = (
        float(np.percentile(before, _LIMITS.slow)),
        float(np.percentile(after, _LIMITS.slow)),
    )
    return usual if now >= config.min_ratio * usual and now > 0 else None


def _folded(found: Sequence[RouteChange], config: NoveltyConfig) -> list[RouteChange]:
    """The strongest routes of a service, or one line for all where many change alike."""
    groups: dict[tuple[str, str], list[RouteChange]] = defaultdict(list)
    for change in sorted(found, key=lambda c: (-_strength(c, config), c.tally.route)):
        groups[change.tally.service, change.name].append(change)
    kept: list[RouteChange] = []
    for members in groups.values():
        routes = [change for change in members if change.tally.route != _ALL]
        whole = [change for change in members if change.tally.route == _ALL]
        many = len(routes) > _LIMITS.most_routes and whole
        kept += whole if many or not routes else routes[: _LIMITS.most_routes]
    return kept


def _strength(change: RouteChange, config: NoveltyConfig) -> float:
    if not change.usual:
        return _LIMITS.uncompared
    failed = change.name == "requests_failed"
    weight = config.error_appears if failed else config.line_appears
    return weight * -math.log10(change.test.p_value)


def _finding(change: RouteChange, periods: Periods, vault: Vault, config: NoveltyConfig) -> Finding:
    counted, count = change.tally, len(change.since)
    observed = periods.of(counted.service)
    after_s, before_s = observed.after_s, observed.before_s
    figures = {
        "after": float(count),
        "before": float(change.past),
        "after_s": after_s,
        "before_s": before_s,
        "requests_after": float(len(counted.after)),
        "requests_before": float(change.usual),
        "share_after": count / len(counted.after),
        "share_before": change.past / max(change.usual, 1),
        "statistic": change.test.statistic,
        "p_value": change.test.p_value,
        "alarming": float(change.name == "requests_failed"),
        "calm": float(change.name == "requests_slow"),
    }
    if change.name == "requests_slow" and change.limit is not None:
        figures["limit"] = change.limit
    route = excerpt(counted.route.replace(VARIABLE, PLACEHOLDER), vault, _LIMITS.quoted)
    status = {"requests_failed": " status=5xx", "requests_rejected": " status=4xx"}
    return Finding(
        kind="log",
        subject=counted.service,
        name=change.name,
        source="logs",
        query=f'service={counted.service} route="{route}"{status.get(change.name, "")}',
        window=periods.window,
        value=60 * count / after_s,
        baseline=60 * change.past / before_s if change.usual else None,
        unit="requests/min",
        onset=min(one.at for one in change.since),
        direction="up",
        strength=_strength(change, config),
        figures=figures,
        excerpt=excerpt(change.since[0].line.message, vault, config.excerpt),
        statement=_statement(change, route, after_s, before_s),
    )


def _statement(change: RouteChange, route: str, after_s: float, before_s: float) -> str:
    counted = change.tally
    codes = Counter(one.request.status for one in change.since)
    which = ", ".join(str(code) for code, _ in codes.most_common(_LIMITS.most_routes))
    about = f'requests of "{route}"' if counted.route != _ALL else "requests of any route"
    if change.name != "requests_slow":
        about += f" ({which})"
    after = f"{len(change.since)} of {len(counted.after)} {about} in {after_s / 60:.1f} min"
    before = f"{change.past} of {change.usual} in {before_s / 60:.1f} min before"
    if not change.usual:
        before = "there is no earlier log to compare with"
    if change.name == "requests_slow":
        before += (
            f"; slow is longer than {change.limit:.4g}, which {_LIMITS.slow:.0f} of 100 were not"
        )
    return f"{counted.service} {_SAID[change.name]} {after} after the onset, {before}."
