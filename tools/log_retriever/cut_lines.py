"""Lines that a container runtime wrapped, or cut where they were too long, as they were written."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tools.types import LogLine

MOST_SECONDS = 5.0
"""Between two lines of a record. Source: Filebeat's default of `multiline.timeout`."""

MOST_CHARACTERS = 65_536
"""Kept of a record: four of the parts into which Docker splits a line. Source: as below."""

DOCKER_PART = 16_384
"""Bytes after which Docker and containerd split a line. Source: moby, `daemon/logger/copier.go`."""

_DOCKER_KEYS = frozenset(("log", "stream", "time"))

_CRI = re.compile(r"(\d{4}-\d\d-\d\dT\S{8,40} std(?:out|err)) ([PF])(?: |$)")


def is_cut(message: str) -> bool:
    """Whether a runtime cut the line here: a CRI part marked `P`, or a full part of Docker's.

    >>> is_cut("2026-05-01T10:00:00.123456789Z stdout P half a li")
    True
    """
    cri = _CRI.match(message)
    if cri:
        return cri[2] == "P"
    if message.startswith('{"log":'):
        return _docker(message).get("log", "\n")[-1:] != "\n"
    if not DOCKER_PART // 4 <= len(message) <= DOCKER_PART:  # RFC 3629: four bytes at most
        return False
    # A letter at the end may itself have been cut; it has four bytes at most (RFC 3629).
    return DOCKER_PART - 3 <= len(message.encode("utf-8", "replace")) <= DOCKER_PART


def unwrapped(message: str) -> str:
    """Return a line as its writer wrote it, without what containerd or Docker put around it."""
    cri = _CRI.match(message)
    if cri:
        return message[cri.end() :]
    if message.startswith('{"log":'):
        return _docker(message).get("log", message).rstrip("\r\n")
    return message


def _docker(message: str) -> dict[str, str]:
    try:
        told = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    whole = isinstance(told, dict) and told.keys() >= _DOCKER_KEYS
    return told if whole and isinstance(told["log"], str) else {}


def uncut(stream: Iterable[LogLine]) -> Iterator[LogLine]:
    """Yield the lines of one stream, ascending by time, the parts of each put together."""
    parts: list[LogLine] = []
    for line in stream:
        ended = not parts[-1].cut or line.at - parts[-1].at > MOST_SECONDS if parts else False
        if ended:
            yield _whole(parts)
            parts = []
        parts.append(line if line.cut or not is_cut(line.message) else replace(line, cut=True))
    if parts:
        yield _whole(parts)


def _whole(parts: Sequence[LogLine]) -> LogLine:
    """One line of its parts, without what they were wrapped in."""
    if len(parts) == 1:
        return parts[0]
    texts: list[str] = []
    room = MOST_CHARACTERS
    for part in parts:
        text = unwrapped(part.message)[:room]
        texts.append(text)
        room -= len(text)
    return replace(parts[0], message="".join(texts), cut=False)
