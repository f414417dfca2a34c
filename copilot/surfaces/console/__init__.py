"""Console: the pages that people share at night, rendered on the server, in both languages.

Every value is escaped by the templates; no markup is built in Python, so what alerts, logs, models
and people wrote stays text. docs/decisions/console.md says why it is built so.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from copilot.case.reporting import reason_of
from copilot.surfaces.console.answer import prose, spans
from copilot.types.time_format import clock_time, date_time, duration, iso
from prompts import Language, translation, word
from tools.log_retriever.sanitize import strip_controls

MEDIA = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file as it is served; `version` changes with its content."""

    content: bytes
    media_type: str
    version: str


@cache
def assets() -> Mapping[str, Asset]:
    """The static files by name: these are served and nothing else."""
    found = {}
    for entry in (resources.files(__package__) / "static").iterdir():
        media_type = MEDIA.get(entry.name.rpartition(".")[2])
        if media_type:
            content = entry.read_bytes()
            version = hashlib.sha256(content).hexdigest()[:12]
            found[entry.name] = Asset(content, media_type, version)
    return found


def _visible(value: object) -> object:
    """A value without what cannot be seen and what turns the direction of reading; lines stay."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value
    return "\n".join(map(strip_controls, value.split("\n")))


@cache
def _environment() -> Environment:
    made = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=PackageLoader("copilot.surfaces.console"),
    )
    made.filters |= {
        "clock": clock_time, "moment": date_time, "lasting": duration, "iso": iso,
        "prose": prose, "spans": spans,
    }  # fmt: skip
    return made


def rendered(template: str, language: Language, **values: object) -> str:
    """A template filled in; `t` gives the console's own words, `word` those of closed sets,
    `say` sentences of ours that are kept in English."""
    return (
        _environment()
        .get_template(template)
        .render(
            language=language,
            t=lambda key: word("console", key, language),
            word=partial(_spoken, language),
            say=partial(translation, language=language),
            reason=partial(reason_of, language=language),
            assets=assets(),
            **values,
        )
    )


def _spoken(language: Language, subject: str, value: str) -> str:
    return word(subject, value, language)
