"""Tables as kubectl prints them: columns begin where their heading begins."""

import re

_HEADING = re.compile(r"\S+(?: \S+)*")


def rows(text: str) -> list[dict[str, str]]:
    """One dict per line, by heading; an empty cell is an empty string.

    >>> rows("NAME   READY   AGE\\nweb    1/1     5m")
    [{'NAME': 'web', 'READY': '1/1', 'AGE': '5m'}]
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return []
    headings = [(found.start(), found.group()) for found in _HEADING.finditer(lines[0])]
    ends = [*(start for start, _ in headings[1:]), None]
    return [
        {name: line[start:end].strip() for (start, name), end in zip(headings, ends, strict=True)}
        for line in lines[1:]
    ]
