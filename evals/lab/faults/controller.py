"""Controller: does the acts of a scenario at their times, and heals the shop afterwards."""

import threading
import time
from datetime import UTC, datetime, timedelta

from evals.lab.faults.scenario import Act, LabScenario
from evals.lab.live import Lab
from evals.lab.operator import PlatformError

_FIRES_FOR_S = 3600.0


class Controller:
    """Injects scenarios into a running lab, one at a time."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def inject(self, scenario: LabScenario) -> float:
        """Do the first acts now and the later ones in their time; returns the exact onset."""
        self._stopping.clear()
        onset = time.time()
        for act in (one for one in scenario.acts if one.after_s == 0):
            self._do(act)
        later = sorted((one for one in scenario.acts if one.after_s > 0), key=lambda a: a.after_s)
        self._thread = threading.Thread(target=self._follow, args=(onset, later), daemon=True)
        self._thread.start()
        return onset

    def wait(self) -> None:
        """Until the last act is done."""
        if self._thread is not None:
            self._thread.join()

    def heal(self) -> float:
        """Take everything away again; returns when that was done."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._lab.saboteur.break_("shop", "heal")
        self._lab.monitoring.unsilence()
        return time.time()

    def _follow(self, onset: float, acts: list[Act]) -> None:
        for act in acts:
            if self._stopping.wait(max(0.0, onset + act.after_s - time.time())):
                return
            self._do(act)

    def _do(self, act: Act) -> None:
        if act.by == "monitoring":
            self._monitoring(act)
        elif act.by == "person":
            try:
                self._lab.platform.do(act.service, act.verb, **act.body)
            except PlatformError:
                # A release that does not come up is what some scenarios are about.
                return
        else:
            self._lab.saboteur.break_(act.service, act.verb, **act.body)

    def _monitoring(self, act: Act) -> None:
        if act.verb == "silence":
            seconds = float(act.body["seconds"])
            self._lab.monitoring.silence({"service": act.service}, seconds, "planned maintenance")
            return
        now = datetime.now(UTC)
        ends = now + timedelta(seconds=_FIRES_FOR_S) if act.verb == "fire" else now
        labels = {name: str(value) for name, value in act.body.items()}
        alert = {
            "labels": {**labels, "service": act.service},
            "annotations": {"summary": "heap may be full in four hours"},
            # Without a beginning Alertmanager takes the end for it.
            "startsAt": (now - timedelta(seconds=1)).isoformat(),
            "endsAt": ends.isoformat(),
        }
        self._lab.monitoring.post([alert])
