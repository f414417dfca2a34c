"""Data: what a service keeps beside answering calls: a cache, a queue, a database, a volume."""

import random
from collections.abc import Awaitable, Callable

from evals.lab.blueprint import ServiceBlueprint, ServiceRoute
from evals.lab.places import LabFolder
from evals.lab.shop.cache import Cache
from evals.lab.shop.jobs import MOST, Jobs
from evals.lab.shop.ledger import BusyError, OrderDatabase
from evals.lab.shop.meters import CacheMeters, DiskMeters, InstanceMeters, LockMeters, QueueMeters
from evals.lab.shop.outbound import Pool
from evals.lab.shop.volume import DataVolume

_MEGABYTE = 1_048_576
_ENTRIES = 8  # that one page is made of
_CHUNK = b"debug: state of a request nobody asked for\n" * 1524  # 64 KiB


class DataAccessError(Exception):
    """The data could not be read or written; the message says why."""


class ServiceData:
    """The parts a service has; a part it does not have does nothing."""

    def __init__(
        self,
        service: ServiceBlueprint,
        places: LabFolder,
        meters: InstanceMeters,
        job: Callable[[], Awaitable[None]],
    ) -> None:
        kinds = {route.stored for route in service.routes.values()}
        self._rng = random.Random(service.name)
        self._cache = Cache(CacheMeters(meters.registry)) if "cached" in kinds else None
        self._jobs = Jobs(QueueMeters(meters.registry), job) if "queued" in kinds else None
        self._volume: DataVolume | None = None
        self._ledger: OrderDatabase | None = None
        self._sessions: Pool | None = None
        self._read_only = False
        self._flushed = 0.0
        if service.volume_mb:
            folder = places.volume(service.name)
            self._volume = DataVolume(
                folder, service.volume_mb * _MEGABYTE, DiskMeters(meters.registry)
            )
            database = folder.parent / f"{service.name}.sqlite"
            self._ledger = OrderDatabase(database, self._volume, LockMeters(meters.registry))

    def lookups(self, route: ServiceRoute) -> int:
        """How often the calls of a route are needed: once for each entry the cache lacks."""
        if self._cache is None or route.stored != "cached":
            return 1
        return sum(not self._cache.has(self._rng) for _ in range(_ENTRIES))

    async def background(self) -> None:
        """Work the queue off, for as long as the process lives."""
        if self._jobs is not None:
            await self._jobs.consume()

    async def do(self, route: ServiceRoute) -> None:
        """Read, write or queue what the route says; raises `DataAccessError`."""
        if self._jobs is not None and route.stored == "queued" and not self._jobs.put():
            raise DataAccessError(f"queue is full: {MOST} jobs wait")
        if self._ledger is None or route.stored not in ("read", "write"):
            return
        if route.stored == "read":
            await self._ledger.read()
            return
        if self._read_only:
            raise DataAccessError("the database is read-only")
        try:
            await self._ledger.write()
        except (BusyError, OSError) as error:
            raise DataAccessError(f"write failed: {error}") from error

    def tick(self, condition: Callable[[str], float], read_only: bool) -> None:
        """Bring about what is wrong with the data, and tell the meters."""
        self._read_only = read_only
        if self._cache is not None:
            self._cache.worthless = condition("worthless_cache") > 0
            flushed = condition("flushed_at")
            if flushed > self._flushed:
                self._flushed = flushed
                self._cache.flush()
        if self._jobs is not None:
            self._jobs.show()
        if self._volume is not None and self._ledger is not None:
            self._volume.used()
            self._volume.delay_s = condition("disk_delay_s")
            self._ledger.block(condition("locked") > 0)
            self._fill(condition("fill_mb_s"))

    def _fill(self, megabytes: float) -> None:
        """A runaway debug log; full is full."""
        assert self._volume is not None
        for _ in range(int(megabytes * 8)):
            try:
                self._volume.append("debug.log.1", _CHUNK)
            except OSError:
                return
