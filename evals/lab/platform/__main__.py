"""`python -m evals.lab.platform`: the supervisor of one lab; tokens come by the environment."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from evals.lab.places import LabFolder
from evals.lab.platform.api import Api, supervise
from evals.lab.platform.changes import ChangeLog
from evals.lab.platform.fleet import Fleet
from evals.lab.platform.operations import Operations
from evals.lab.processes import end, spawn
from evals.lab.wire import Server


async def run(given: argparse.Namespace, operator: str, saboteur: str) -> None:
    """Bring the shop up, answer until a signal, take it down."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    fleet = Fleet(LabFolder(given.root), given.collector)
    operations = Operations(fleet, ChangeLog(given.webhook))
    server = Server(Api(operations, operator, saboteur).handle)
    users = None
    try:
        await fleet.up()
        arguments = ["--root", str(given.root), "--seed", str(given.seed)]
        users = spawn(
            [sys.executable, "-m", "evals.lab.shop.users", *arguments],
            output=given.root / "logs" / "users.stderr",
        )
        port = await server.start(given.port)
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        watching = asyncio.create_task(supervise(operations))
        await stopping.wait()
        watching.cancel()
    finally:
        await server.stop()
        if users is not None:
            end(users, 1.0)
        await fleet.down()


def main() -> None:
    """Read what it is given and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--collector", default="", help="OTLP/HTTP receiver of spans and logs")
    parser.add_argument("--webhook", default="", help="who is told of every change")
    given = parser.parse_args()
    tokens = (os.environ["LAB_OPERATOR_TOKEN"], os.environ["LAB_SABOTEUR_TOKEN"])
    asyncio.run(run(given, *tokens))


if __name__ == "__main__":
    main()
