"""The desk of a conversation: what it is given, in a service and in a command."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from copilot import wiring
from copilot.alerts.maintenance import MaintenanceSchedule
from copilot.case import wiring as case_wiring
from copilot.deps import Deps
from copilot.knowledge import Memory
from copilot.settings import Settings
from copilot.sources.clock import SystemClock
from copilot.surfaces.chat import ChatLimits, ChatService, ToolContext
from copilot.surfaces.commands.demo import replay_of, replayed
from copilot.types.incident import Incident


def build_chat_service(settings: Settings, deps: Deps) -> ChatService:
    """Questions answered with what the incidents are worked on with."""

    # By words alone: a question may not wait for an embedder to be loaded.
    memory = deps.memory or Memory(wiring.library(settings).documents)

    def scope_of(incident: Incident | None) -> ToolContext:
        sources, clock = wiring.recorded_in(incident) or (deps.sources, deps.clock)
        return ToolContext(replace(deps, sources=sources, clock=clock), incident, memory.knowledge)

    return ChatService(
        deps.store,
        scope_of,
        SystemClock(),
        lambda: secrets.token_hex(6),
        model=deps.model,
        language=settings.language,
        limits=ChatLimits(total_s=settings.chat_s),
    )


@contextmanager
def local_chat_service(settings: Settings) -> Iterator[ChatService]:
    """A desk of this process, where no service owns the data folder; it works on no incident."""
    wall, books, replay = SystemClock(), wiring.catalogue(settings), replay_of(settings)
    seen = wiring.configured_sources(settings) if replay is None else replayed(replay)
    clock = wiring.time_of(seen, wall) if replay is None else replay
    with wiring.store(settings) as opened, wiring.model(settings) as (asked, _how):
        if (rota := wiring.on_call(settings)) is not None:
            rota.refresh(wall.now())
        yield build_chat_service(
            settings,
            Deps(
                rota=rota,
                store=opened,
                sources=seen,
                clock=clock,
                runner=wiring.dry_runner(wall),
                playbooks=books,
                unrunnable=wiring.unrunnable(settings, books),
                limits=case_wiring.limits(settings, seen),
                arm=settings.arm,
                policy=wiring.policy(settings, opened),
                model=asked,
                announced=MaintenanceSchedule.of(
                    settings.alerting_file, opened.silences, clock.now()
                ),
            ),
        )
