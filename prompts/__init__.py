"""Texts for people and models: Markdown with front matter, rendered by Jinja, fingerprinted.

A text is a file `<name>.<language>.md`. Its front matter declares the variables it takes; a missing
or a surplus variable is an error, so that a text and its caller cannot drift apart. What several
texts say alike is a part, `parts/<name>.<language>.md`, that they include by its name. For a model,
`budget` says how many tokens a section may cost at most.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import resources
from typing import Literal

import yaml
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


class PromptError(Exception):
    """A text is missing, malformed, or was given other variables than it declares."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text: its declared variables, its body, and a fingerprint of all it is made of."""

    name: str
    language: Language
    variables: frozenset[str]
    body: str
    fingerprint: str
    budget: Mapping[str, int] = field(default_factory=dict)

    def render(self, **variables: object) -> str:
        """The text with its variables filled in; refuses missing and surplus ones."""
        given = frozenset(variables)
        if given != self.variables:
            raise PromptError(
                f"prompt {self.name!r} takes {sorted(self.variables)}, got {sorted(given)}"
            )
        return _compiled(self.body, self.language).render(**variables).strip() + "\n"


@cache
def _compiled(body: str, language: Language) -> Template:
    # Compiling costs ten times as much as rendering.
    return _environment(language).from_string(body)


@cache
def _environment(language: Language) -> Environment:
    # Plain text, not HTML: surfaces escape for themselves.
    return Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=FunctionLoader(lambda name: _part(name, language)),
    )


@cache
def _part(name: str, language: Language) -> str:
    path = resources.files("prompts") / "templates" / "parts" / f"{name}.{language}.md"
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise PromptError(f"no part {name!r} in language {language!r}") from error


@cache
def load(name: str, language: Language) -> Prompt:
    """Read `templates/<name>.<language>.md`."""
    path = resources.files("prompts") / "templates" / f"{name}.{language}.md"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise PromptError(f"no prompt {name!r} in language {language!r}") from error
    opening, _, rest = text.partition("---\n")
    front, separator, body = rest.partition("---\n")
    if opening or not separator:
        raise PromptError(f"prompt {name!r} has no front matter; start the file with '---'")
    header = yaml.load(front, Loader=yaml.CSafeLoader)
    if not isinstance(header, dict) or not isinstance(header.get("variables"), list):
        raise PromptError(f"prompt {name!r}: front matter needs a list 'variables'")
    parts = [_part(part, language) for part in _INCLUDED.findall(body)]
    return Prompt(
        name,
        language,
        variables=frozenset(map(str, header["variables"])),
        body=body,
        fingerprint=hashlib.sha256("".join((text, *parts)).encode()).hexdigest()[:12],
        budget={str(section): int(most) for section, most in header.get("budget", {}).items()},
    )


_INCLUDED = re.compile(r'\{%-?\s*include "([\w-]+)"')


@cache
def _words() -> dict[str, dict[str, dict[str, str]]]:
    path = resources.files("prompts") / "templates" / "words.yaml"
    loaded: dict[str, dict[str, dict[str, str]]] = yaml.load(
        path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    return loaded


def word(subject: str, value: str, language: Language) -> str:
    """The reader's word for one value of a closed set; the value itself where there is none."""
    return _words().get(subject, {}).get(value, {}).get(language, value)


def translation(sentence: str, language: Language) -> str:
    """A sentence that our code wrote in English, in the reader's language, by `sentences.yaml`.

    Of several joined by `; ` each for itself; what is in no catalogue, as text of others, stays.
    """
    return sentence if language == "en" else _translated(sentence)


LONGEST_SENTENCE = 2000
"""Characters of a sentence that is looked up; ours are far shorter."""

DEEPEST_SENTENCE = 8
"""Sentences within sentences that are looked up; ours are three deep, what others send may be
hundreds."""

_HOLE = re.compile(r"\{(\w+)(?::([*\w]+))?\}")
_NUMBER = re.compile(r"[-+]?[\d.,:]+(?:e[-+]?\d+)?")
_FITS: Mapping[str, Callable[[str], object]] = {
    "0": _NUMBER.fullmatch,
    "": lambda value: "; " not in value,
}


@lru_cache(maxsize=2048)
def _translated(sentence: str, nested: int = 0) -> str:
    if len(sentence) > LONGEST_SENTENCE or nested > DEEPEST_SENTENCE:
        return sentence
    said: list[str] = []
    while (known := _known(sentence, nested)) is None and "; " in sentence:
        first, _, sentence = sentence.partition("; ")
        said.append(_known(first, nested) or first)
    return ";".join((*said, sentence if known is None else known))


def _known(sentence: str, nested: int) -> str | None:
    """The Chinese of one sentence of the catalogue; None where it is in none."""
    for pattern in _patterns().get(sentence[:BEGINNING], _patterns()[""]):
        held = pattern.held(sentence, nested)
        if held is not None:
            return pattern.chinese.format_map(held)
    return None


@dataclass(frozen=True, slots=True)
class SentencePattern:
    """A sentence with holes; `fixed` is the text around them, one piece more than `holes`."""

    fixed: tuple[str, ...]
    holes: tuple[tuple[str, str], ...]
    chinese: str

    def held(self, sentence: str, nested: int) -> dict[str, str] | None:
        """What stands in the holes, in Chinese; None where it is another sentence.

        Each piece of fixed text is taken where it first comes, so that no text takes long.
        """
        if not self.holes:
            return {} if sentence == self.fixed[0] else None
        first, *between, last = self.fixed
        if not sentence.startswith(first) or not sentence.endswith(last):
            return None
        at, end = len(first), len(sentence) - len(last)
        held: dict[str, str] = {}
        for (name, kind), following in zip(self.holes, (*between, ""), strict=True):
            place = sentence.find(following, at + 1, end) if following else end
            value = sentence[at : max(place, at)]
            if not value or not _FITS.get(kind, bool)(value):
                return None
            held[name] = _value(value, kind, nested)
            at = place + len(following)
        return held


def _value(value: str, kind: str, nested: int) -> str:
    if kind == "*":
        return _translated(value, nested + 1)
    for english, chinese in _spoken(kind) if kind not in ("", "0") else ():
        value = value.replace(english, chinese)
    return value


@cache
def _spoken(subject: str) -> tuple[tuple[str, str], ...]:
    """English words of a subject and its bare values, each with the Chinese, the longest first."""
    known = {
        english: said["zh"]
        for value, said in _words().get(subject, {}).items()
        for english in (said["en"], value)
    }
    return tuple(sorted(known.items(), key=lambda one: -len(one[0])))


BEGINNING = 3
"""Letters by which a sentence is looked up: of 300 sentences a dozen begin alike."""


@cache
def _patterns() -> Mapping[str, Sequence[SentencePattern]]:
    """The catalogue by how sentences begin, what has most text of its own first; under "" those
    that may begin in any way, which stand under each beginning too.
    """
    path = resources.files("prompts") / "templates" / "sentences.yaml"
    loaded: dict[str, str] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    found = []
    for english, chinese in loaded.items():
        pieces = _HOLE.split(english)
        holes = tuple(zip(pieces[1::3], (kind or "" for kind in pieces[2::3]), strict=True))
        found.append(SentencePattern(tuple(pieces[::3]), holes, chinese))
    found.sort(key=lambda one: -sum(map(len, one.fixed)))
    begun: dict[str, list[SentencePattern]] = {one.fixed[0][:BEGINNING]: [] for one in found}
    whole = {how: group for how, group in begun.items() if len(how) == BEGINNING} | {"": []}
    for one in found:
        how = one.fixed[0][:BEGINNING]
        for group in (whole[how],) if how in whole and how else whole.values():
            group.append(one)
    return whole


def names() -> tuple[str, ...]:
    """Every text that ships, without its language."""
    folder = resources.files("prompts") / "templates"
    return tuple(
        sorted({entry.name.split(".")[0] for entry in folder.iterdir() if ".md" in entry.name})
    )
