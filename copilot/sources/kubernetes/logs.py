"""Log text of a pod's containers as excerpts: what complains, and what was said last."""

import re
from typing import Literal

from tools.log_retriever import redact
from tools.types import Container, ContainerState, LogExcerpt

LINE_LIMIT = 4000
LAST_LINES, LAST_BYTES = 80, 2048
"""As much as the kubelet takes from a log for a termination message (`FallbackToLogsOnError`)."""

LogRun = Literal[
    "running",  # what it writes now
    "ended",  # the run that ended, and was not followed by another
    "previous",  # the run before the one that is there or awaited
]
"""Which run of a container a log is of."""

_COMPLAINT = re.compile(
    r"error|exception|fatal|panic|fail|refused|denied|timeout|timed out|unavailable|unable|"
    r"cannot|can't|not found|no such|in use|too many|read[- ]only|caused by",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+", re.IGNORECASE)


def excerpts(
    component: str, text: str, *, container: str = "", previous: bool = False, all_: bool = False
) -> tuple[LogExcerpt, ...]:
    """One excerpt per shape of line, in the order they first came.

    Lines without a word of complaint are left out unless `all_`.

    >>> [found.count for found in excerpts("web", "ok\\nerror 1\\nerror 2")]
    [2]
    """
    counts: dict[str, int] = {}
    first: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or not (all_ or _COMPLAINT.search(line[:LINE_LIMIT])):
            continue
        shape = _VARIABLE.sub("#", line[:LINE_LIMIT])
        counts[shape] = counts.get(shape, 0) + 1
        first.setdefault(shape, line[:LINE_LIMIT])
    return tuple(
        LogExcerpt(
            component=component,
            container=container,
            message=first[shape],
            count=count,
            previous=previous,
        )
        for shape, count in counts.items()
    )


def last_words(
    component: str, text: str, *, container: str = "", previous: bool = False
) -> tuple[LogExcerpt, ...]:
    """What a run that ended wrote last, whatever words it used, as one excerpt without secrets.

    >>> last_words("web", "listening\\n\\nApiKey is undefined\\n")[0].message
    'listening\\nApiKey is undefined'
    """
    lines = [line[:LINE_LIMIT] for line in text.splitlines() if line.strip()][-LAST_LINES:]
    # Secrets go before the cut, or half of one would be left that nothing tells any more.
    told = redact("\n".join(lines)).encode()
    if len(told) > LAST_BYTES:
        tail = told[-LAST_BYTES:]
        told = tail.partition(b"\n")[2] or tail  # no half line, where there is a whole one
    message = told.decode(errors="ignore")
    if not message:
        return ()
    return (
        LogExcerpt(
            component=component, container=container, message=message, previous=previous, last=True
        ),
    )


def runs(container: Container) -> tuple[LogRun, ...]:
    """The runs of a container whose logs are worth reading; none before its first start.

    While a container waits to be started again the API gives the log of the ended run both as the
    current and as the previous one: it is read once.
    """
    now = container.state.status
    again = container.restarts > 0 or container.last_state.status == "terminated"
    if now == "running":
        return ("running", "previous") if again else ("running",)
    if now == "terminated":
        return () if _succeeded(container.state) else ("ended",)
    return ("previous",) if again else ()


def termination_messages(component: str, container: Container) -> tuple[LogExcerpt, ...]:
    """What the container left as its termination message, of the last run and the one before."""
    return tuple(
        found
        for state, previous in ((container.state, False), (container.last_state, True))
        if state.status == "terminated" and not _succeeded(state)
        for found in last_words(
            component, state.message, container=container.name, previous=previous
        )
    )


def _succeeded(state: ContainerState) -> bool:
    return state.exit_code == 0
