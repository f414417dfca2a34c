"""The quick way of commands that cannot wait: the running service is asked, or a file is read.

What it cannot do is left to `copilot.surfaces.commands`, which loads everything: every command has
that way, too, and says what is wrong with a setting. Here no setting is read but where to ask, so
an emergency stop works beside a broken one. docs/decisions/start.md.
"""

import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from rich.console import Console

from copilot.surfaces import listing
from copilot.surfaces.cli_options import Flags
from copilot.surfaces.remote import RemoteError, SilentServiceError, fetched, posted, service, text
from copilot.types.errors import OperatorError
from prompts import LANGUAGES, Language

WAIT_S = 10.0
"""A service that has not answered by then hangs, and the store is read or written beside it."""

DATA_DIR = "~/.local/share/incident-copilot"
"""As `Settings.data_dir` has it; a test holds both."""


class PlainKey(str):
    """A key of the settings, as pydantic's SecretStr gives it."""

    def get_secret_value(self) -> str:
        """The key."""
        return str(self)


class PlaceRead(NamedTuple):
    """Where to ask, and in which language."""

    home: Path
    server: str
    api_key: PlainKey | None
    database_url: str
    language: Language


def place(flags: Flags, lang: Language | None) -> PlaceRead | None:
    """The place by flags, file and environment; None where they have to be read with care."""
    told = {name.upper(): value for name, value in os.environ.items()}
    names = {"data_dir", "server", "api_key", "database_url", "language"}
    read: dict[str, object] = {n: told[f"COPILOT_{n.upper()}"] for n in names if _in(told, n)}
    if flags.config is not None:
        try:
            read |= tomllib.loads(flags.config.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
    given = {"data_dir": flags.data_dir, "server": flags.server, "language": lang}
    read |= {name: str(value) for name, value in given.items() if value is not None}
    values = {name: read.get(name, "") for name in names}
    if not all(isinstance(one, str) for one in values.values()):
        return None
    said = {name: str(value) for name, value in values.items()}
    language = next((one for one in LANGUAGES if one == (said["language"] or "en")), None)
    return language and PlaceRead(
        Path(said["data_dir"] or DATA_DIR).expanduser(),
        said["server"],
        PlainKey(said["api_key"]) if said["api_key"] else None,
        said["database_url"],
        language,
    )


def _in(told: Mapping[str, str], name: str) -> bool:
    return f"COPILOT_{name.upper()}" in told


def answered(command: str, flags: Flags, arguments: Mapping[str, Any]) -> int | None:
    """Run a command the quick way; its exit code, or None where it has to be loaded whole."""
    where = place(flags, arguments.get("lang"))
    if where is None:
        return None
    try:
        return COMMANDS[command](where, service(where), arguments)
    except SilentServiceError as error:
        if not where.server:
            return None  # it hangs, or is about to end: its data folder is beside us
        return _refused(error)
    except OperatorError as error:
        return _refused(error)
    except KeyboardInterrupt:
        return 130


def _refused(error: OperatorError) -> int:
    sys.stderr.write(f"copilot: {error}\n")
    return 2


def _incidents(where: PlaceRead, address: str, arguments: Mapping[str, Any]) -> int | None:
    if not address:
        return _kept(where, arguments)
    asked = {n: arguments[n] for n in ("incident", "as_json", "limit", "report")}
    print_text(text(where, address, f"/terminal/incidents?{_screen(where, asked)}", WAIT_S))
    return 0


def _kept(where: PlaceRead, arguments: Mapping[str, Any]) -> int | None:
    plain = not (arguments["incident"] or arguments["as_json"] or where.database_url)
    rows = listing.kept(where.home / "copilot.sqlite", arguments["limit"]) if plain else None
    if not rows:  # none yet: it may be that a demo is shown instead
        return None
    listing.show(Console(), rows, where.language)
    return 0


def _status_update(where: PlaceRead, address: str, arguments: Mapping[str, Any]) -> int | None:
    if not address or arguments["as_json"]:
        return None
    asked = {"incident": arguments["incident"], "audience": arguments["audience"]}
    print_text(text(where, address, f"/terminal/status-update?{_screen(where, asked)}", WAIT_S))
    return 0


def _stop(where: PlaceRead, address: str, arguments: Mapping[str, Any]) -> int | None:
    return _posted(where, address, "/stop", arguments)


def _resume(where: PlaceRead, address: str, arguments: Mapping[str, Any]) -> int | None:
    return _posted(where, address, "/resume", arguments)


def _posted(where: PlaceRead, address: str, path: str, arguments: Mapping[str, Any]) -> int | None:
    if not address:
        return None
    told = posted(where, address, path, {**arguments}, WAIT_S)
    print_text(f"{told.get('said')}\n")
    return 0 if told.get("done", True) else 1


def _approve(where: PlaceRead, address: str, arguments: Mapping[str, Any]) -> int | None:
    if not address:
        return None
    shown = _shown(where, address, arguments)
    print_text(str(shown["text"]))
    digest = str(shown["digest"])
    if arguments["digest"] and arguments["digest"] != digest:
        raise RemoteError(
            f"--digest {arguments['digest']!r} is not the digest of plan {shown['plan_id']!r}"
        )
    question = "Approve this dry run?" if shown["dry_run"] else "Approve and run this?"
    if not arguments["yes"] and not arguments["digest"] and not asked(question):
        print_text("Not approved; nothing was run.\n")
        return 1
    return _decided(where, address, shown, "approve", {"approver": arguments["by"]})


def _reject(where: PlaceRead, address: str, arguments: Mapping[str, Any]) -> int | None:
    if not address:
        return None
    said = {"approver": arguments["by"], "reason": arguments["reason"]}
    return _decided(where, address, _shown(where, address, arguments), "reject", said)


def _shown(where: PlaceRead, address: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The plan as the service shows it, with its digest."""
    path = f"/terminal/plan?{_screen(where, {'plan': arguments['plan']})}"
    return fetched(where, address, path, WAIT_S)


def _decided(
    where: PlaceRead, address: str, shown: Mapping[str, Any], decision: str, said: dict[str, str]
) -> int:
    path = f"/incidents/{quote(str(shown['incident_id']), safe='')}/approval"
    answer = {"plan_id": shown["plan_id"], "digest": shown["digest"], "decision": decision}
    told = posted(where, address, f"{path}?lang={where.language}", {**answer, **said})
    print_text(f"{told.get('said')}\n")
    return 0


def asked(question: str) -> bool:
    """A yes or no of the keyboard; no answer is no."""
    print_text(f"{question} [y/n] (n): ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _screen(where: PlaceRead, asked_for: Mapping[str, Any]) -> str:
    """What is asked of a page of the terminal, and how it is to be laid out."""
    console = Console()
    color = console.is_terminal and console.color_system is not None
    return urlencode({**asked_for, "lang": where.language, "width": console.width, "color": color})


def print_text(shown: str) -> None:
    """Write it as it came: the service has laid it out for this terminal."""
    sys.stdout.write(shown)


COMMANDS: Mapping[str, Callable[[PlaceRead, str, Mapping[str, Any]], int | None]] = {
    "approve": _approve,
    "incidents": _incidents,
    "reject": _reject,
    "resume": _resume,
    "status_update": _status_update,
    "stop": _stop,
}
