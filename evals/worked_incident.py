"""A recorded incident, delivered alert by alert and worked on until it ends or waits."""

from pathlib import Path

from copilot import wiring
from copilot.settings import Settings
from copilot.sources.recorded import RecordedBundle
from copilot.types.incident import Incident
from tools.types import Approval


def work_on(settings: Settings, folder: Path, cause: str = "", approver: str = "") -> Incident:
    """Deliver the alerts of a recording into the store of these settings; return its incident.

    Of several that were opened it is the newest, or the newest that has alerts of `cause`. With an
    `approver` that person approves the plan, and the incident is closed as recovered.
    """
    whole = RecordedBundle(folder)
    alerts = sorted(whole.alerts(whole.window), key=lambda one: one.starts_at)
    bundle = RecordedBundle(folder, clock_at=alerts[0].starts_at)
    with wiring.engine(
        settings, "test", sources=wiring.recorded_sources(bundle), clock=bundle
    ) as engine:
        for alert in alerts:
            bundle.advance(max(bundle.now(), alert.starts_at))
            engine.accept([alert], engine.now())
            engine.group()
        bundle.advance(bundle.window.end)
        engine.drain()
        incidents, now = engine.store.incidents, engine.now()
        opened = [one for one in incidents.list(limit=9) if not one.origin]
        found = next(one for one in opened if not cause or cause in one.services)
        incident = incidents.update(found.id, now, origin=str(folder))
        if not approver or incident.plan is None:
            return incident
        yes = Approval(
            plan_id=incident.plan.id,
            digest=incident.plan.digest,
            decision="approve",
            approver=approver,
            reason="",
            decided_at=now,
        )
        engine.store.approvals.decide(yes, now)
        clocks = incident.clocks.model_copy(update={"recovered": now})
        return incidents.update(
            incident.id, now, status="recovered", outcome="recovered", clocks=clocks
        )
