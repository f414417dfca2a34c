"""The desk of a conversation: what it is given, in a service and in a command."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from copilot import wiring
from copilot.deps import Deps
from copilot.knowledge import Knowledge
from copilot.settings import Settings
from copilot.sources.clock import SystemClock
from copilot.surfaces.chat import Desk, Scope
from copilot.types.incident import Incident


def desk(settings: Settings, deps: Deps) -> Desk:
    """Questions answered with what the incidents are worked on with."""

    @cache
    def known() -> Knowledge:
        # By words alone: a question may not wait for an embedder to be loaded.
        return Knowledge(wiring.library(settings).documents(), why="the chat searches by words")

    def scope_of(incident: Incident | None) -> Scope:
        sources, clock = wiring.recorded_in(incident) or (deps.sources, deps.clock)
        return Scope(
            store=deps.store,
            sources=sources,
            clock=clock,
            playbooks=deps.playbooks,
            incident=incident,
            knowledge=known,
            limits=deps.limits,
        )

    return Desk(
        deps.store,
        scope_of,
        SystemClock(),
        lambda: secrets.token_hex(6),
        model=deps.model,
        language=settings.language,
    )


@contextmanager
def opened_desk(settings: Settings) -> Iterator[Desk]:
    """A desk of this process, where no service owns the data folder; it works on no incident."""
    wall = SystemClock()
    with wiring.store(settings) as opened, wiring.model(settings) as (asked, _how):
        seen = wiring.configured_sources(settings)
        yield desk(
            settings,
            Deps(
                store=opened,
                sources=seen,
                clock=wiring.time_of(seen, wall),
                runner=wiring.dry_runner(wall),
                playbooks=wiring.catalogue(settings),
                limits=wiring.limits(settings),
                arm=settings.arm,
                policy=wiring.policy(settings),
                model=asked,
            ),
        )
