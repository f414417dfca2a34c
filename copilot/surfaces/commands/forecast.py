"""`copilot forecast`: which resources will be full, when, and what to do in time."""

import json

from rich.console import Console
from rich.table import Table

from copilot import wiring
from copilot.settings import Settings, SettingsError
from copilot.sources.clock import SystemClock
from copilot.sources.recorded import RecordedBundle
from copilot.sources.resources import ComingLimit, spell, table
from prompts import Language
from tools.log_retriever import sanitize

HEADINGS: dict[Language, tuple[str, ...]] = {
    "en": ("full in", "90 of 100", "what", "used", "rests on", "in time"),
    "zh": ("用尽还有", "九成区间", "资源", "已用", "依据", "及时处理"),
}
NOTHING: dict[Language, str] = {
    "en": "Nothing is foretold to be full ({} resources looked at).",
    "zh": "没有预计将用尽的资源(查看了 {} 项)。",
}


def forecast(settings: Settings, *, as_json: bool) -> int:
    """Print what is coming, the soonest first; a source that is not there is an error."""
    outlook = wiring.outlook(settings)
    if outlook is None:
        raise SettingsError(
            "no metrics to forecast from: name a recording (copilot forecast FOLDER), or set "
            "COPILOT_PROMETHEUS_URL"
        )
    recorded = RecordedBundle(settings.bundle) if settings.bundle is not None else None
    now = (recorded or SystemClock()).now()
    try:
        found = outlook.coming(now)
    finally:
        outlook.close()
    console, language = Console(highlight=False), settings.language
    if as_json:
        told = [
            one.model_dump()
            | {
                "said": one.said().en,
                "act": table().kinds[one.kind].act.en,
                "playbooks": table().kinds[one.kind].playbooks,
            }
            for one in found
        ]
        console.print_json(json.dumps({"now": now, "coming": told, "problems": outlook.problems}))
        return 0
    if found:
        console.print(_shown(found, language))
    else:
        console.print(NOTHING[language].format(outlook.looked_at))
    for problem in outlook.problems:
        console.print(sanitize(problem, 300), style="yellow", soft_wrap=True)
    return 0


def _shown(found: tuple[ComingLimit, ...], language: Language) -> Table:
    shown = Table(box=None, pad_edge=False)
    for heading in HEADINGS[language]:
        shown.add_column(heading, overflow="fold")
    for one in found:
        words = table().kinds[one.kind]
        kind, act = (
            (words.zh, words.in_time.zh) if language == "zh" else (words.en, words.in_time.en)
        )
        shown.add_row(
            spell(one.at - one.now),
            f"{spell(one.earliest - one.now)} – {spell(one.latest - one.now)}",
            f"{sanitize(one.resource, 120)} {kind}",
            f"{one.used:.0f} %",
            f"{spell(one.now - one.since)}, {one.slope:+.2g} %/h",
            act,
        )
    return shown
