"""Volume: a folder with a quota, as slow as it is told to be; a full one refuses writes."""

import errno
import time
from pathlib import Path

from evals.lab.shop.meters import DiskMeters, since

_RECOUNT_S = 1.0
_KEPT_SEGMENTS = 4
_SEGMENT = 262_144


class DataVolume:
    """Bytes in a folder; `delay_s` is what each write waits for the device beside the real time."""

    def __init__(self, folder: Path, limit: int, meters: DiskMeters) -> None:
        self._folder = folder
        self._limit = limit
        self._meters = meters
        self._counted = 0.0
        self._used = 0
        self._segment = 0
        self.delay_s = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        meters.limit.set(limit)
        self.used()

    def used(self) -> int:
        """Bytes in the folder, counted at most once a second."""
        if since(self._counted) >= _RECOUNT_S:
            self._used = sum(f.stat().st_size for f in self._folder.iterdir() if f.is_file())
            self._counted = time.monotonic()
            self._meters.used.set(self._used)
        return self._used

    def append(self, name: str, content: bytes) -> None:
        """Write at the end of a file and wait until it is on the device.

        Raises OSError with ENOSPC where the quota would be passed.
        """
        started = time.monotonic()
        try:
            if self.used() + len(content) > self._limit:
                raise OSError(errno.ENOSPC, "No space left on device", str(self._folder / name))
            time.sleep(self.delay_s)
            with (self._folder / name).open("ab") as file:
                file.write(content)
            self._used += len(content)
        finally:
            self._meters.write.observe(since(started))

    def journal(self, content: bytes) -> None:
        """Append to the journal of the database; old segments go."""
        name = f"journal-{self._segment % _KEPT_SEGMENTS}.wal"
        path = self._folder / name
        if path.exists() and path.stat().st_size > _SEGMENT:
            self._segment += 1
            name = f"journal-{self._segment % _KEPT_SEGMENTS}.wal"
            (self._folder / name).unlink(missing_ok=True)
        self.append(name, content)
