"""`copilot alerts`: what is read of alerts before anything happens; no service and no store."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from copilot.alerts import vocabulary
from copilot.alerts.formats import ALIASES, KINDS, mapped, parse, parse_mapped
from copilot.alerts.formats.dumps import exported
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.surfaces.cli_options import print_json
from copilot.types.time_format import date_time
from prompts import Language
from tools.types import Alert, Timestamp

MOST_BYTES = 64 * 1024 * 1024
"""A file of alerts larger than this is not an export of alerts."""

_MAPPED = "mapped/"

_LINES: Mapping[Language, tuple[str, str, str, str, str]] = {
    "en": ("about", "told by", "since", "why", "nobody: the labels name none"),
    "zh": ("对象", "由谁告知", "时间", "原因", "无：标签未指明任何对象"),
}
_SENDER: Mapping[Language, str] = {"en": "sender", "zh": "来源"}
_WORDS: Mapping[Language, tuple[str, str, str]] = {
    "en": ("severity", "state", "words"),
    "zh": ("级别", "状态", "词语"),
}


def alerts_explain(settings: Settings, *, file: Path, kind: str, as_json: bool) -> int:
    """Print how each alert of a file is read; exit code 2 where there is none."""
    console, problems = Console(), Console(stderr=True, markup=False, highlight=False)
    alerts, left_out = _read(settings, file, kind, SystemClock().now())
    if left_out:
        problems.print(f"left out: {', '.join(left_out)}", soft_wrap=True)
    if as_json:
        console.out(json.dumps([_line(one) for one in alerts], indent=1, ensure_ascii=False))
    elif alerts:
        for alert in alerts:
            console.print(_paragraph(alert, settings.language), soft_wrap=True)
    else:
        problems.print("no alert was read of it", soft_wrap=True)
    return 0 if alerts else 2


def alerts_severities(settings: Settings, *, as_json: bool) -> int:
    """Print which words mean which severity and which state, and the senders' own scales."""
    if as_json:
        print_json(
            {
                "severities": {str(k): list(v) for k, v in vocabulary.SEVERITIES.items()},
                "states": {str(k): list(v) for k, v in vocabulary.STATES.items()},
                "senders": {
                    "severities": {k: dict(v) for k, v in vocabulary.SENDER_SEVERITIES.items()},
                    "states": {k: dict(v) for k, v in vocabulary.SENDER_STATES.items()},
                },
            }
        )
        return 0
    console = Console()
    severity, state, words = _WORDS[settings.language]
    for title, table in ((severity, vocabulary.SEVERITIES), (state, vocabulary.STATES)):
        console.print(_words(title, words, {str(name): said for name, said in table.items()}))
    own = {
        severity: vocabulary.SENDER_SEVERITIES,
        state: vocabulary.SENDER_STATES,
    }
    for title, senders in own.items():
        told = {
            name: ", ".join(f"{word} = {meant}" for word, meant in scale.items())
            for name, scale in senders.items()
        }
        console.print(_words(_SENDER[settings.language], title, told))
    return 0


def content_of(file: Path) -> bytes:
    """A file of alerts, or what is piped in for `-`."""
    if str(file) == "-":
        return sys.stdin.buffer.read(MOST_BYTES)
    try:
        if file.stat().st_size > MOST_BYTES:
            raise SettingsError(f"{str(file)!r} is larger than {MOST_BYTES} bytes; split it")
        return file.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{str(file)!r} cannot be read ({error.strerror}); name a JSON file"
        ) from error


def _read(
    settings: Settings, file: Path, kind: str, now: Timestamp
) -> tuple[tuple[Alert, ...], tuple[str, ...]]:
    content = content_of(file)
    limit = settings.max_alerts
    if not kind:
        found = exported(content, now, limit)
        return found.alerts, found.left_out
    if kind.startswith(_MAPPED):
        mapping = mapped.read(settings.alert_mappings_file).named(kind.removeprefix(_MAPPED))
        if mapping is None:
            raise SettingsError(f"--format {kind!r}: no such mapping in alert_mappings_file")
        return parse_mapped(content, mapping, {}, now, limit), ()
    if kind not in KINDS and kind not in ALIASES:
        known = ", ".join((*KINDS, *ALIASES))
        raise SettingsError(f"--format {kind!r} is none of {known}, or mapped/NAME")
    return parse(content, kind, {}, now, limit), ()


def _why(alert: Alert) -> str:
    """How it was read, and what of it was not understood."""
    note = alert.annotations.get(vocabulary.NOTE, "")
    return "; ".join(one for one in (alert.why, note) if one)


def _line(alert: Alert) -> dict[str, object]:
    subject = alert.subject
    return {
        "name": alert.name,
        "state": alert.status,
        "severity": alert.severity,
        "subject": {
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
        },
        "told_by": alert.told_by,
        "heartbeat": alert.heartbeat,
        "why": _why(alert),
    }


def _paragraph(alert: Alert, language: Language) -> Text:
    """One alert in five lines; a terminal of 80 columns breaks none of its words."""
    about, told_by, since, why, nobody = _LINES[language]
    subject = alert.subject
    place = f"{subject.namespace}/" if subject.namespace else ""
    named = f"{subject.kind} {place}{subject.name}" if subject.name else nobody
    until = alert.ends_at if alert.ends_at is not None else alert.lease
    times = date_time(alert.starts_at) + (f" – {date_time(until)}" if until else "")
    state = f"{alert.status} ♥" if alert.heartbeat else alert.status
    text = Text()
    text.append(alert.name, style="bold").append(f"  {state}  {alert.severity}  ")
    text.append(f"({alert.source})", style="dim")
    rows = ((about, named), (told_by, alert.told_by), (since, times), (why, _why(alert)))
    for name, value in rows:
        if value:
            text.append(f"\n  {name:<8} ", style="dim").append(value)
    return text.append("\n")


def _words(first: str, second: str, rows: Mapping[str, str]) -> Table:
    table = Table(first, Column(second, overflow="fold"))
    for name, words in rows.items():
        table.add_row(Text(name), Text(words))
    return table
