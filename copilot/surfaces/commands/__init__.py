"""What the commands do. Errors that are the operator's to mend become one line and exit code 2."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from rich.console import Console

from copilot import settings
from copilot.surfaces.cli_options import Flags
from copilot.types.errors import OperatorError
from knowledge_base import DocumentError
from tools.playbook_executor import ParameterError

COMMANDS = {
    "alerts_explain": "alerts",
    "alerts_severities": "alerts",
    "approve": "decide",
    "cause": "learn",
    "chat": "chat",
    "db_backup": "db",
    "db_check": "db",
    "db_prune": "db",
    "db_restore": "db",
    "db_upgrade": "db",
    "demo": "demo",
    "demo_console": "demo_console",
    "doctor": "doctor",
    "edit": "decide",
    "forecast": "forecast",
    "graph": "drawing",
    "incidents": "incidents",
    "investigate": "investigate",
    "journal_export": "incidents",
    "status_update": "incidents",
    "journal_head": "journal_head",
    "journal_verify": "journal_head",
    "kb_add": "kb",
    "kb_index": "kb",
    "kb_list": "kb",
    "kb_remove": "kb",
    "kb_search": "kb",
    "kb_show": "kb",
    "learned_reset": "learn",
    "learned_show": "learn",
    "login": "login",
    "looks_list": "looks",
    "looks_pin": "looks",
    "looks_try": "looks",
    "mcp": "mcp",
    "merge": "decide",
    "split": "decide",
    "notify_explain": "notify",
    "notify_test": "notify",
    "on_call": "on_call",
    "who_is_on_call": "on_call",
    "playbook_list": "playbook",
    "playbook_render": "playbook",
    "playbook_run": "by_hand",
    "playbook_show": "playbook",
    "playbook_import": "playbook",
    "playbook_validate": "playbook",
    "postmortem": "postmortem",
    "record": "learn",
    "rehearse": "rehearse",
    "reject": "decide",
    "resume": "decide",
    "retry": "decide",
    "serve": "serve",
    "slice_of": "slice",
    "step": "decide",
    "stop": "halting",
    "tokens_add": "people",
    "tokens_list": "people",
    "tokens_revoke": "people",
    "users_add": "people",
    "users_disable": "people",
    "users_enable": "people",
    "users_list": "people",
    "users_passwd": "people",
    "users_set": "people",
    "watch": "serve",
    "worker": "serve",
}
"""The module of each command; only the one that is run is loaded, and with it what it needs."""

OF_A_DEMO = frozenset(
    {
        *("chat", "incidents", "journal_export", "journal_verify", "postmortem", "status_update"),
        *("approve", "reject"),
    }
)
"""What is about the newest demo as long as there is no other incident."""

AS_SETTINGS = {
    "host": "host",
    "port": "port",
    "bundle": "bundle",
    "log_format": "log_format",
    "lang": "language",
}
"""Options of commands that are settings: a flag is the last layer."""


def call(command: str, flags: Flags, arguments: Mapping[str, Any]) -> int:
    """Read the settings, run the command, return its exit code."""
    given = {AS_SETTINGS[k]: v for k, v in arguments.items() if k in AS_SETTINGS}
    rest = {k: v for k, v in arguments.items() if k not in AS_SETTINGS}
    try:
        read = settings.load(flags.config, data_dir=flags.data_dir, server=flags.server, **given)
        if command in OF_A_DEMO and (read.home / "demo").is_dir():
            read = _or_demo(read)
        if command.startswith("demo"):  # serve says it in its log, doctor among its checks
            _warn_of_variables()
        module = loaded(COMMANDS[command])
        code: int = getattr(module, command)(read, **rest)
        return code
    except (OperatorError, DocumentError, ParameterError) as error:
        Console(stderr=True, markup=False, highlight=False).print(
            f"copilot: {error}", soft_wrap=True
        )
        return 2
    except KeyboardInterrupt:
        Console(stderr=True, markup=False).print("stopped")
        return 130


def loaded(name: str) -> Any:
    """A module of commands, loaded now: what few runs need must not delay all others."""
    return import_module(f"copilot.surfaces.commands.{name}")


def _warn_of_variables() -> None:
    """Name on standard error what is set in the environment and sets nothing."""
    console = Console(stderr=True, markup=False, highlight=False)
    for name in settings.variables_without_effect():
        console.print(f"no such setting, it has no effect: {name}", style="yellow", soft_wrap=True)


def _or_demo(read: settings.Settings) -> settings.Settings:
    """The settings of the newest demo where there is nothing else to read, and says so."""
    shown: settings.Settings | None = loaded("demo").shown_instead(read)
    if shown is None:
        return read
    said = (
        f"没有其他事件:显示最近一次演示 ({shown.home})"
        if read.language == "zh"
        else f"no incident of your own yet: this is the newest demo ({shown.home})"
    )
    Console(stderr=True, markup=False, highlight=False).print(said, style="dim", soft_wrap=True)
    return shown
