"""Uptime Kuma: its webhook notification with the preset JSON body.

Source: louislam/uptime-kuma `server/notification-providers/webhook.js` (heartbeat, monitor, msg),
`server/model/heartbeat.js` (0 down, 1 up, 2 pending, 3 maintenance; time in UTC).
"""

from pydantic import Field

from copilot.alerts import vocabulary
from copilot.alerts.formats import meaning
from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import CleanText, Moment, Payload, Word, clean_labels
from copilot.alerts.formats.normal import normalised
from copilot.alerts.formats.pairs import Pairs
from copilot.alerts.formats.sender import Sender, has, part, read_as
from tools.types import Alert, Timestamp

_NO_URL = ("", "https://", "http://")


class KumaHeartbeat(Payload):
    """One probe of a monitor."""

    monitor_id: Word = Field(default="", alias="monitorID")
    status: Word = ""
    time: Moment = None
    msg: CleanText = ""


class KumaMonitor(Payload):
    """What is probed."""

    id: Word = ""
    name: Word = ""
    url: Word = ""
    hostname: Word = ""
    port: Word = ""
    type: Word = ""
    tags: Pairs = Field(default_factory=dict)


class KumaNotification(Payload):
    """The body of the webhook; a test has neither heartbeat nor monitor."""

    heartbeat: KumaHeartbeat | None = None
    monitor: KumaMonitor | None = None
    msg: CleanText = ""


def notification(document: object, now: Timestamp) -> tuple[Alert, ...]:
    """Read one change of a monitor; the test button makes no alert."""
    read = read_as(KumaNotification, document)
    beat, monitor = read.heartbeat, read.monitor
    if beat is None:
        return ()
    monitor = monitor or KumaMonitor()
    key = monitor.id or beat.monitor_id or monitor.name
    if not key:
        raise PayloadError("monitor.id", "the number of the monitor")
    found = vocabulary.read_state("heartbeat.status", beat.status, "uptimekuma")
    if found.state == "quiet":
        return ()
    address = monitor.url if monitor.url not in _NO_URL else ""
    where = f"{monitor.hostname}:{monitor.port}" if monitor.port else monitor.hostname
    named = {"instance": address or where, "monitor": monitor.name, "probe": monitor.type}
    at = now if beat.time is None else beat.time
    texts = {"summary": read.msg, "description": beat.msg}
    return (
        normalised(
            clean_labels({**monitor.tags, **named}),
            {name: text for name, text in texts.items() if text},
            status=found.state,
            starts_at=at if found.state != "resolved" else now,
            ends_at=at,
            source="uptimekuma",
            fingerprint=meaning.digest("uptimekuma", key),
            name=monitor.name or f"monitor {key}",
            # It knows up and down only, and down is what somebody has to be told of.
            severity="critical",
            generator_url=address,
            note=found.note,
        ),
    )


KUMA = Sender(
    "uptimekuma",
    "Uptime Kuma webhook",
    lambda document: (
        has(document, "heartbeat", "monitor")
        and (part(document, "heartbeat") is None or has(part(document, "heartbeat"), "status"))
    ),
    notification,
)
