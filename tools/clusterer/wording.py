"""What the words and labels of an alert say: whom it accuses, and cause or symptom."""

import re
from collections.abc import Collection, Sequence

from tools.types import Alert

# Cause-based alerting names a saturated or broken resource; symptom-based alerting names what
# users feel (Google, Site Reliability Engineering, ch. 6: "symptoms versus causes").
_CAUSE = re.compile(
    r"cpu|memory|oom|heap|disk|filesystem|inode|throttl|crash|restart|evict|notready|quota"
    r"|certificate|deadlock|pool"
)


def names_cause(alert: Alert) -> bool:
    """Whether the alert's name speaks of a resource rather than of what callers feel."""
    return _CAUSE.search(alert.name[:200].lower()) is not None


def accused(alert: Alert, callee_labels: Sequence[str], known: Collection[str]) -> tuple[str, bool]:
    """What the alert points at, and whether it points past its own service at a callee.

    A label only counts if the topology knows its value: `target` may as well be a URL.
    """
    for name in callee_labels:
        callee = alert.labels.get(name)
        if callee is not None and callee in known and callee != alert.service:
            return callee, True
    return alert.service or alert.subject.shown, False
