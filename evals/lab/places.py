"""Where the processes of one lab meet: the files of its folder, written whole or not at all."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class LabFolder:
    """The folder of one running lab."""

    root: Path

    def config(self, service: str) -> Path:
        """The configuration of a service, read again whenever it changes."""
        return self.root / "config" / f"{service}.json"

    def conditions(self, service: str) -> Path:
        """What is wrong with a service just now; absent or empty where nothing is."""
        return self.root / "conditions" / f"{service}.json"

    def names(self, resolver: str, service: str) -> Path:
        """The names that a resolver answers a service: name -> list of ports."""
        return self.root / "names" / resolver / f"{service}.json"

    @property
    def targets(self) -> Path:
        """What Prometheus scrapes."""
        return self.root / "targets.json"

    def certificate(self, service: str) -> Path:
        """The certificate and key that a service presents."""
        return self.root / "certificates" / f"{service}.pem"

    @property
    def authority(self) -> Path:
        """The certificate of the lab's own authority."""
        return self.root / "certificates" / "authority.pem"

    def volume(self, service: str) -> Path:
        """The folder a service keeps its data in."""
        return self.root / "volumes" / service

    def log(self, instance: str) -> Path:
        """The log file of an instance."""
        return self.root / "logs" / f"{instance}.log"

    def spans(self, instance: str) -> Path:
        """The spans of an instance, one OTLP/JSON export a line."""
        return self.root / "spans" / f"{instance}.jsonl"

    @property
    def load(self) -> Path:
        """What users do: a factor on each journey's rate."""
        return self.root / "load.json"

    def make(self) -> None:
        """Create every folder."""
        for name in ("config", "conditions", "certificates", "volumes", "logs", "spans", "names"):
            (self.root / name).mkdir(parents=True, exist_ok=True)


def write_json(path: Path, content: object) -> None:
    """Replace the file at once, so that a reader sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=1), encoding="utf-8")
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty where there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


class WatchedFile:
    """A JSON file that is read again when it changed; `generation` counts how often."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self.content: dict[str, Any] = {}
        self.generation = 0

    def refresh(self) -> bool:
        """Read the file if it changed; True if it did."""
        try:
            seen = self._path.stat()
            stamp = (seen.st_mtime_ns, seen.st_ino)
        except FileNotFoundError:
            stamp = (0, 0)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self.content = read_json(self._path)
        self.generation += 1
        return True
