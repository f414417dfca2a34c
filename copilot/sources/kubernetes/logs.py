"""Log text of a pod's containers as excerpts: the lines that complain, counted by shape."""

import re

from tools.types import LogExcerpt

LINE_LIMIT = 4000
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
