"""The recorded cases, from the archive or from the folder it unpacks to."""

import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from copilot.ports import SourceError


@dataclass(frozen=True)
class OpsBenchCase:
    """One recorded fault. `answer` is the sealed answer file, for the scorer only."""

    id: str
    system: str
    namespace: str
    calls: Mapping[str, object]
    metrics: str
    answer: bytes


def _case(files: Mapping[str, bytes]) -> OpsBenchCase:
    about = json.loads(files["case.json"])
    return OpsBenchCase(
        id=str(about["id"]),
        system=str(about["system"]),
        namespace=str(about["namespace"]),
        calls=json.loads(files["tool_cache.json"]),
        metrics=files.get("metrics.csv", b"").decode("utf-8"),
        answer=files.get("answer.json", b""),
    )


def _folders(path: Path) -> Iterator[dict[str, bytes]]:
    for case in sorted(path.rglob("case.json")):
        yield {item.name: item.read_bytes() for item in case.parent.iterdir() if item.is_file()}


def _archived(path: Path) -> Iterator[dict[str, bytes]]:
    """The archive is read once, from front to back; a case's files stand together in it."""
    folder, files = "", dict[str, bytes]()
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            parent, _, name = member.name.rpartition("/")
            if parent != folder and files:
                yield files
                files = {}
            folder = parent
            files[name] = content.read()
    if files:
        yield files


def cases(path: Path) -> Iterator[OpsBenchCase]:
    """Every case of the archive, or of an unpacked folder, one at a time."""
    found = False
    for files in _folders(path) if path.is_dir() else _archived(path):
        if {"case.json", "tool_cache.json"} <= files.keys():
            found = True
            yield _case(files)
    if not found:
        raise SourceError(
            "cloud-opsbench",
            f"{str(path)!r} holds no case.json with a tool_cache.json; give the archive or the "
            "folder it unpacks to",
            recoverable=False,
        )
