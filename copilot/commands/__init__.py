"""What the commands do. Errors that are the operator's to mend become one line and exit code 2."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from copilot import settings
from copilot.adapters.payloads import PayloadError
from copilot.adapters.recorded import BundleError
from copilot.cli import Flags
from copilot.commands.by_hand import playbook_run
from copilot.commands.decide import RemoteError, approve, reject
from copilot.commands.demo import demo
from copilot.commands.doctor import doctor
from copilot.commands.halt import resume, stop
from copilot.commands.incidents import incidents
from copilot.commands.investigate import investigate
from copilot.commands.journal import journal_export, journal_verify
from copilot.commands.kb import kb_add, kb_index, kb_list, kb_remove, kb_search
from copilot.commands.playbook import (
    playbook_list,
    playbook_render,
    playbook_show,
    playbook_validate,
)
from copilot.commands.serve import serve
from copilot.graph import drawing
from copilot.home import HomeBusyError, HomeError
from copilot.ports import SourceError
from copilot.retrieval import LibraryError
from copilot.settings import Settings, SettingsError
from copilot.store import RefusedError, StoreError
from knowledge_base import DocumentError
from tools.playbook_executor import ParameterError

OPERATOR_ERRORS = (
    BundleError,
    DocumentError,
    HomeBusyError,
    HomeError,
    LibraryError,
    ParameterError,
    PayloadError,
    RefusedError,
    RemoteError,
    SettingsError,
    SourceError,
    StoreError,
)


def graph(_: Settings) -> int:
    """Print the drawing."""
    Console(markup=False, highlight=False).out(drawing())
    return 0


COMMANDS: Mapping[str, Callable[..., int]] = {
    "approve": approve,
    "demo": demo,
    "doctor": doctor,
    "graph": graph,
    "incidents": incidents,
    "investigate": investigate,
    "journal_export": journal_export,
    "journal_verify": journal_verify,
    "kb_add": kb_add,
    "kb_index": kb_index,
    "kb_list": kb_list,
    "kb_remove": kb_remove,
    "kb_search": kb_search,
    "playbook_list": playbook_list,
    "playbook_render": playbook_render,
    "playbook_run": playbook_run,
    "playbook_show": playbook_show,
    "playbook_validate": playbook_validate,
    "reject": reject,
    "resume": resume,
    "serve": serve,
    "stop": stop,
}

AS_SETTINGS = {"host": "host", "port": "port", "bundle": "bundle", "lang": "language"}
"""Options of commands that are settings: a flag is the last layer."""


def call(command: str, flags: Flags, arguments: Mapping[str, Any]) -> int:
    """Read the settings, run the command, return its exit code."""
    given = {AS_SETTINGS[k]: v for k, v in arguments.items() if k in AS_SETTINGS}
    rest = {k: v for k, v in arguments.items() if k not in AS_SETTINGS}
    try:
        loaded = settings.load(flags.config, data_dir=flags.data_dir, server=flags.server, **given)
        return COMMANDS[command](loaded, **rest)
    except OPERATOR_ERRORS as error:
        Console(stderr=True, markup=False, highlight=False).print(
            f"copilot: {error}", soft_wrap=True
        )
        return 2
    except KeyboardInterrupt:
        Console(stderr=True, markup=False).print("stopped")
        return 130
