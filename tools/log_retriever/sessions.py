"""Sessions whose mix of log messages was never seen: count vectors of templates per trace."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from tools.log_retriever.miner import Miner, MinerConfig
from tools.log_retriever.significance import RateChange, rate_change
from tools.types import FrozenModel, LogLine, Timestamp

SessionVector = frozenset[tuple[str, int]]


class SessionConfig(FrozenModel):
    """`max_count`: counts above it are alike, so that the length of a loop is no novelty."""

    max_count: int = Field(default=2, ge=1)
    limit: int = Field(default=100, ge=1)
    miner: MinerConfig = Field(default_factory=MinerConfig)


@dataclass(frozen=True, slots=True)
class OddSession:
    """A session unlike any before: what is missing and surplus against the nearest usual one."""

    service: str
    trace: str
    at: Timestamp
    missing: tuple[str, ...]
    surplus: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceSessions:
    """How many of a service's sessions are odd, and the test against how many would be by chance.

    The expectation is the share of usual sessions whose vector occurred only once (Good-Turing).
    """

    service: str
    odd: int
    sessions: int
    test: RateChange


def odd_sessions(
    lines: Sequence[LogLine], baseline: Sequence[LogLine], config: SessionConfig | None = None
) -> tuple[list[ServiceSessions], list[OddSession]]:
    """Sessions of `lines` whose vector of template counts never occurs in `baseline`.

    A session is what one service logged under one trace id; lines without one are left out.
    Services come most surprising first, sessions in order of time. Services without usual sessions
    cannot be judged and are left out too.

    Source: novelty of count vectors, as in Xu et al., Detecting Large-Scale System Problems by
    Mining Console Logs, SOSP 2009, without the projection.
    """
    config = config or SessionConfig()
    usual, later = _vectors(baseline, lines, config)
    known: dict[str, Counter[SessionVector]] = defaultdict(Counter)
    for (service, _), (_, vector) in usual.items():
        known[service][vector] += 1
    totals: Counter[str] = Counter()
    odd: list[OddSession] = []
    for (service, trace), (at, vector) in later.items():
        if service not in known:
            continue
        totals[service] += 1
        if vector not in known[service]:
            odd.append(_explained(service, trace, at, vector, known[service]))
    counts = Counter(session.service for session in odd)
    services = [_judged(s, counts[s], n, known[s]) for s, n in totals.items()]
    services.sort(key=lambda s: (-s.test.statistic, s.service))
    odd.sort(key=lambda session: session.at)
    return services, odd[: config.limit]


_Sessions = dict[tuple[str, str], tuple[Timestamp, SessionVector]]


def _vectors(
    baseline: Sequence[LogLine], lines: Sequence[LogLine], config: SessionConfig
) -> tuple[_Sessions, _Sessions]:
    miner = Miner(config.miner)
    mined = [
        [(line, miner.add(line.message).template_id) for line in part if line.trace]
        for part in (baseline, lines)
    ]
    final = {former: miner.resolve(former).text for part in mined for _, former in part}
    usual, later = ([(line, final[former]) for line, former in part] for part in mined)
    return _sessions(usual, config), _sessions(later, config)


def _sessions(lines: Sequence[tuple[LogLine, str]], config: SessionConfig) -> _Sessions:
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    starts: dict[tuple[str, str], Timestamp] = {}
    for line, template in lines:
        key = line.service, line.trace
        counts[key][template] += 1
        starts[key] = min(line.at, starts.get(key, line.at))
    return {
        key: (starts[key], frozenset((t, min(n, config.max_count)) for t, n in found.items()))
        for key, found in counts.items()
    }


def _explained(
    service: str, trace: str, at: Timestamp, vector: SessionVector, known: Counter[SessionVector]
) -> OddSession:
    nearest = min(known, key=lambda usual: (len(usual ^ vector), -known[usual], sorted(usual)))
    have, usually = {t for t, _ in vector}, {t for t, _ in nearest}
    return OddSession(
        service, trace, at, tuple(sorted(usually - have)), tuple(sorted(have - usually))
    )


def _judged(
    service: str, odd: int, sessions: int, known: Counter[SessionVector]
) -> ServiceSessions:
    once = sum(count == 1 for count in known.values())
    before = known.total()
    test = rate_change(once, odd, before, sessions, 1.0)
    return ServiceSessions(service, odd, sessions, test)
