"""`copilot notify`: try a channel; say who was told of an incident, and why. Checks for doctor."""

import json
import os
import time
from collections.abc import Iterator

from rich.console import Console

from copilot import wiring
from copilot.ports import NoticeError
from copilot.settings import Settings, SettingsError
from copilot.store import StoredNotice, StoreError, TargetFigures
from copilot.store.notices import DIGEST
from copilot.surfaces.console.picture import drawable
from copilot.surfaces.notify.routing import NotifyFile, facets
from copilot.surfaces.notify.wiring import routing, sender
from copilot.surfaces.notify.wording import probe
from copilot.types.checks import Check
from copilot.types.errors import OperatorError, install
from copilot.types.incident import CLOSED, Incident
from copilot.types.notice import Moment
from copilot.types.time_format import date_time, duration

NOWHERE = "nobody is told: name a routing file with COPILOT_NOTIFY_FILE (docs/notify.md)"


def _file(settings: Settings) -> NotifyFile:
    file = routing(settings)
    if file is None:
        raise SettingsError(NOWHERE)
    return file


def notify_test(settings: Settings, *, target: str) -> int:
    """Send a test message now, past routes, limits and quiet hours; nothing is kept."""
    file, console = _file(settings), Console(markup=False, highlight=False)
    channel = file.target(target)
    if channel is None:
        known = ", ".join(one.name for one in file.targets)
        raise SettingsError(f"there is no target {target!r}; there are: {known}")
    now = time.time()
    try:
        sender(channel, file, os.environ, time.time).send(
            probe(now, settings.public_url), f"{target}/test/{now:.3f}", ""
        )
    except NoticeError as error:
        console.print(f"{target} ({channel.kind}) refused: {error}", soft_wrap=True)
        return 1
    console.print(f"{target} ({channel.kind}) took a test message in {channel.language}")
    return 0


def notify_explain(settings: Settings, *, incident: str, as_json: bool) -> int:
    """Print what each target was told, and what the routes come to as the incident stands."""
    file = _file(settings)
    with wiring.store(settings) as store:
        found = store.incidents.require(incident)
        rows = store.notices.of(incident)
        known = facets(found, store.alerts.of(incident))
    moment = _moment(found, rows)
    decision = file.decide(known, moment, time.time())
    # An escalation that waits, or was not needed, has told nobody anything.
    told_of = {row.target for row in rows if row.status not in ("waiting", "dropped")}
    silent = [one.name for one in file.targets if one.name not in told_of]
    if as_json:
        told = {
            "incident": incident,
            "moment": moment,
            "notices": [one.model_dump(mode="json") for one in rows],
            "routes": list(decision.lines),
            "not_told": silent,
        }
        Console().out(json.dumps(told, ensure_ascii=False, indent=1))
        return 0
    lines = [f"{incident} [{found.severity}] {found.status}: {found.title}", "", "told:"]
    lines += [f"  {_row(one)}" for one in rows] or ["  nobody"]
    lines += ["", f"not told: {', '.join(silent) or 'every target was'}"]
    lines += ["", f"routes, as it stands now ({moment}):", *(f"  {one}" for one in decision.lines)]
    Console(markup=False, highlight=False).print("\n".join(lines), soft_wrap=True)
    return 0


def _moment(incident: Incident, rows: tuple[StoredNotice, ...]) -> Moment:
    """The moment that routes are asked about: the last that was told, or the one it stands at."""
    said = [one.notice.moment for one in rows if one.notice.moment != "escalated"]
    if said:
        return said[-1]
    if incident.status in CLOSED:
        return "resolved"
    return "plan" if incident.status == "awaiting_approval" else "located"


def _row(one: StoredNotice) -> str:
    said = f"{date_time(one.changed_at)} {one.target}: {one.notice.moment} {one.status}"
    waits = f", due {date_time(one.due_at)}" if one.status in ("pending", "waiting") else ""
    tried = f", tried {one.attempts} times" if one.status == "pending" and one.attempts else ""
    reason, digest = one.reason, one.reason.removeprefix(DIGEST)
    if digest != reason:
        reason = f"in the digest of {date_time(float(digest))}"
    elif one.status == "waiting":
        reason = f"told if {reason}"
    return f"{said}{waits}{tried} ({reason})"


def checks(settings: Settings) -> Iterator[Check]:
    """Who is told, and whether each target takes it."""
    try:
        file = routing(settings)
    except OperatorError as error:
        yield Check("notify", "broken", str(error), "copilot serve does not start like this")
        return
    if file is None:
        yield Check("notify", "missing", "nobody is told of incidents", NOWHERE.partition(": ")[2])
        return
    try:
        with wiring.store(settings) as store:
            figures = {one.target: one for one in store.notices.figures()}
    except StoreError:
        figures = {}  # the check of the store says so
    if not drawable():
        found = f"no pictures are drawn: {install('plots')}"
        yield Check("notify", "missing", found, "messages go out without the deciding series")
    for channel in file.targets:
        name = f"{channel.name} ({channel.kind})"
        try:
            sender(channel, file, os.environ, time.time)
        except OperatorError as error:
            yield Check("notify", "broken", str(error), "copilot serve does not start like this")
        else:
            yield _standing(name, figures.get(channel.name), channel.name)


def _standing(name: str, told: TargetFigures | None, target: str) -> Check:
    if told is None:
        return Check(
            "notify", "ok", f"{name}: told nothing yet", f"try: copilot notify test {target}"
        )
    counts = ", ".join(f"{number} {state}" for state, number in sorted(told.by_state.items()))
    if told.failing_since is not None:
        since = duration(time.time() - told.failing_since)
        found = f"{name}: has taken nothing for {since}: {told.problem} ({counts})"
        return Check("notify", "broken", found, f"then: copilot notify test {target}")
    return Check("notify", "ok", f"{name}: {counts}")
