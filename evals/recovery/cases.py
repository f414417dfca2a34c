"""The incidents of the suite: every fault, and days on which nothing is wrong but looks so."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from evals.simulator import RIGHT_PLAYBOOK, SimulatedFault, WorldScenario, scenario
from evals.simulator.scenario import HerringKind
from tools.types import Timestamp

Sort = Literal[
    "fault",  # something is broken
    "healthy",  # nothing is, but an alert says so
    "herring",  # a harmless deploy or a busy neighbour, and an alert
    "spike",  # a minute of CPU that is over by itself, and an alert
    "mishandled",  # broken, and whoever carries out the plan does the opposite
]

SHOP_SEEDS = 2
RANDOM_GRAPHS = 1
QUIET_ROUNDS = 4
RANDOM_SERVICES = 16
MISHANDLED: SimulatedFault = "pool_exhaustion"
"""Its playbook sets an amount that, set to one, makes things worse however bad they are."""


@dataclass(frozen=True, slots=True)
class RecoveryCase:
    """One day to live through."""

    id: str
    sort: Sort
    script: WorldScenario
    kind: SimulatedFault | None = None

    @property
    def begins(self) -> Timestamp:
        """When the fault, or what looks like one, begins."""
        return self.script.start + self.script.quiet_s

    @property
    def right_playbook(self) -> str:
        """What cures it; empty where nothing is to be cured."""
        return RIGHT_PLAYBOOK[self.kind] if self.kind else ""

    @property
    def causes(self) -> tuple[str, ...]:
        """Who may rightly be called the cause."""
        return tuple(name for fault in self.script.faults for name in fault.causes)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The node at fault, where it is one."""
        return tuple(fault.node for fault in self.script.faults if fault.node)


def cases(seed: int, limit: int | None = None) -> tuple[RecoveryCase, ...]:
    """All cases, the sorts mixed, so that the first `limit` of them are a sample of each."""
    sorts: list[list[RecoveryCase]] = [_faults(seed), _quiet(seed), _mishandled(seed)]
    ranked = [
        (position / len(rows), row, case)
        for row, rows in enumerate(sorts)
        for position, case in enumerate(rows)
    ]
    found = [case for _, _, case in sorted(ranked, key=lambda one: one[:2])]
    return tuple(found[:limit])


def _seed(seed: int, *names: object) -> int:
    """A seed of its own for each case: the same whatever other cases there are."""
    return zlib.crc32(":".join(map(str, (seed, *names))).encode()) % 1_000_000


def _faults(seed: int) -> list[RecoveryCase]:
    found = []
    for round_ in range(SHOP_SEEDS + RANDOM_GRAPHS):
        for kind in RIGHT_PLAYBOOK:
            drawn = _seed(seed, kind, round_)
            shop = round_ < SHOP_SEEDS
            script = (
                scenario(kind, drawn, herring=_herring(round_, drawn))
                if shop
                else scenario(
                    kind,
                    drawn,
                    system="random",
                    services=RANDOM_SERVICES,
                    graph_seed=drawn,
                )
            )
            where = "shop" if shop else "random"
            found.append(RecoveryCase(f"{kind}-{where}-{round_}", "fault", script, kind))
    return found


def _herring(round_: int, drawn: int) -> HerringKind | None:
    """Every second round something else happens shortly before."""
    kinds: Sequence[HerringKind] = get_args(HerringKind)
    return kinds[drawn % len(kinds)] if round_ % 2 else None


def _quiet(seed: int) -> list[RecoveryCase]:
    sorts: list[tuple[Sort, HerringKind | None]] = [
        ("healthy", None),
        ("herring", "harmless_deploy"),
        ("herring", "noisy_neighbour"),
        ("spike", "scheduled_spike"),
    ]
    return [
        RecoveryCase(
            f"{herring or 'healthy'}-{round_}",
            sort,
            _near(scenario("healthy", _seed(seed, sort, herring, round_), herring=herring), round_),
        )
        for round_ in range(QUIET_ROUNDS)
        for sort, herring in sorts
    ]


def _near(script: WorldScenario, round_: int) -> WorldScenario:
    """In every second round what is astray happens while the alert is looked at, not before."""
    if round_ % 2 == 0:
        return script
    at = script.start + script.quiet_s
    moved = tuple(one.model_copy(update={"at": at}) for one in script.red_herrings)
    return script.model_copy(update={"red_herrings": moved})


def _mishandled(seed: int) -> list[RecoveryCase]:
    found = []
    for round_ in range(2 * SHOP_SEEDS):
        drawn = _seed(seed, MISHANDLED, "hand", round_)
        script = (
            scenario(MISHANDLED, drawn, system="random", services=RANDOM_SERVICES, graph_seed=drawn)
            if round_ % 2
            else scenario(MISHANDLED, drawn)
        )
        found.append(RecoveryCase(f"mishandled-{round_}", "mishandled", script, MISHANDLED))
    return found
