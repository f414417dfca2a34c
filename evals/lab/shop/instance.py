"""Instance: the process of one instance of one service."""

import argparse
import asyncio
import contextlib
import json
import random
import signal
import ssl
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from evals.lab.blueprint import SERVICES, STANDBY, ServiceBlueprint
from evals.lab.places import LabFolder, WatchedFile
from evals.lab.shop.app import App
from evals.lab.shop.certificates import not_after, presented, trusting
from evals.lab.shop.conditions import Life, crash
from evals.lab.shop.journal import InstanceLog
from evals.lab.shop.meters import CertificateMeters, InstanceMeters
from evals.lab.shop.traces import Tracer
from evals.lab.wire import Server

_TIMEOUT_S = 2.0


class Collector:
    """Sends what is pending; what the receiver does not take is dropped, as a real agent does."""

    def __init__(self, url: str, tracer: Tracer, journal: InstanceLog) -> None:
        self._url = url.rstrip("/")
        self._tracer = tracer
        self._journal = journal

    async def send(self) -> None:
        """Hand over what is pending."""
        export, records = self._tracer.taken(), self._journal.taken()
        if not self._url:
            return
        if export is not None:
            await asyncio.to_thread(self._post, "/v1/traces", export)
        if records:
            scope = {"scope": {"name": "shop"}, "logRecords": records}
            logs = {"resourceLogs": [{"resource": self._tracer.resource, "scopeLogs": [scope]}]}
            await asyncio.to_thread(self._post, "/v1/logs", logs)

    def _post(self, path: str, content: object) -> None:
        request = urllib.request.Request(
            self._url + path,
            json.dumps(content).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S):
                pass
        except (urllib.error.URLError, OSError):
            # A receiver that is away must not slow the shop down.
            return


_TICK_S = 0.5


@dataclass(frozen=True, slots=True)
class Birth:
    """What an instance is told when it is started."""

    root: Path
    service: str
    instance: str
    incarnation: str
    version: str
    collector: str = ""


class Files:
    """The files an instance reads again whenever they change."""

    def __init__(self, places: LabFolder, service: str) -> None:
        self._places = places
        self._service = service
        self.config = WatchedFile(places.config(service))
        self.conditions = WatchedFile(places.conditions(service))
        self._names = {one: WatchedFile(places.names(one, service)) for one in ("primary", STANDBY)}
        self.refresh()

    def refresh(self) -> None:
        """Look at all of them."""
        self.config.refresh()
        self.conditions.refresh()
        for names in self._names.values():
            names.refresh()

    def resolve(self, name: str) -> list[int]:
        """The ports under a name, as the resolver in use answers; empty where it does not."""
        resolver = str(self.config.content.get("resolver", "primary"))
        ports: list[int] = self._names[resolver].content.get(name, [])
        return ports


async def run(birth: Birth) -> None:
    """Serve until a signal says to stop."""
    service, places = SERVICES[birth.service], LabFolder(birth.root)
    files = Files(places, service.name)
    life = Life(birth.incarnation, birth.version)
    meters = InstanceMeters(birth.version)
    journal = InstanceLog(
        places.log(birth.instance), service.logs, service.name, bool(birth.collector)
    )
    tracer = Tracer(places.spans(birth.instance), service.name, birth.instance, birth.version)
    tls = trusting(places.authority)
    app = App(service, life, files, places, meters, journal, tracer, tls)
    if life.value(files.conditions.content, "crash"):
        journal.write(time.time(), "ERROR", "panic: cannot read state: unexpected end of input")
        crash("cannot read state: unexpected end of input")
    own = presented(places.certificate(service.name)) if service.tls else None
    server = Server(app.handle, own)
    port = await server.start()
    journal.write(time.time(), "INFO", f"{service.name} {birth.version} started on :{port}")
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    collector = Collector(birth.collector, tracer, journal)
    certificate = _Certificate(service, places, server, own, meters)
    tasks = [asyncio.create_task(one) for one in (app.background(), _collect(collector))]
    while not stopping.is_set():
        files.refresh()
        certificate.refresh()
        await app.tick(_TICK_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), _TICK_S)
    journal.write(time.time(), "INFO", "received SIGTERM, shutting down")
    for task in tasks:
        task.cancel()
    await server.stop()
    await collector.send()


async def _collect(collector: Collector) -> None:
    while True:
        await asyncio.sleep(1.0 + random.random())
        await collector.send()


class _Certificate:
    """Loads the certificate again when its file changed; who is connected shakes hands anew."""

    def __init__(
        self,
        service: ServiceBlueprint,
        places: LabFolder,
        server: Server,
        context: ssl.SSLContext | None,
        meters: InstanceMeters,
    ) -> None:
        self._path = places.certificate(service.name)
        self._server = server
        self._context = context
        self._stamp = 0
        self._meters = CertificateMeters(meters.registry) if service.tls else None

    def refresh(self) -> None:
        if self._context is None or self._meters is None:
            return
        stamp = self._path.stat().st_mtime_ns
        if stamp != self._stamp:
            self._context.load_cert_chain(self._path)
            self._meters.expiry.set(not_after(self._path))
            if self._stamp:
                self._server.hang_up()
            self._stamp = stamp


def main() -> None:
    """`python -m evals.lab.shop.instance`: started by the platform only."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("root", "service", "instance", "incarnation", "version"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--collector", default="")
    given = vars(parser.parse_args())
    asyncio.run(run(Birth(**{**given, "root": Path(given["root"])})))


if __name__ == "__main__":
    main()
