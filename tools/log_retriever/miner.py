"""Mine message templates from a stream of log lines."""

import hashlib
import re
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import Field

from tools.log_retriever.access import Request, may_be_request, read_request
from tools.log_retriever.dialects import level_of_priority, level_told
from tools.log_retriever.fields import ALARMING
from tools.log_retriever.groups import MessageGroup, MessageGroups
from tools.log_retriever.headers import Header, outer_header, settled, split_header
from tools.log_retriever.masks import VARIABLE, TokenMasks, VariableKind, kind_of, mask_phrases
from tools.log_retriever.records import gist
from tools.log_retriever.sanitize import strip_controls
from tools.log_retriever.shapes import shape_of
from tools.log_retriever.structured import may_be_record
from tools.types import FrozenModel, Timestamp

_MOST_LAYOUTS = 20_000
_HEADER_END = ": "
_BLANKS = " \t"
_ZEROS = str.maketrans("123456789", "000000000")
# What the grammar may still take for a part of the header.
_MAY_OPEN = frozenset("{IWEF")
_GOES_ON = tuple("0123456789,|;:-[")


# A small word and one more, without a mark between them, begin no header and no record.
_PROSE = re.compile(r"[a-z]{2,64} [A-Za-z]")

_TEMPTING_MESSAGES = ("ERROR: a.b.C: x", "May  1 10:00:00 x")
"""Messages that are taken for a part of any header that is not complete without them."""


_NO_HEADER = Header()


class Layout(NamedTuple):
    """Where the parts of a header stand, and its level."""

    stamp: slice
    level: str
    component: slice


class Layouts:
    """Splits lines as `split_header` does, and remembers headers that their own text decides.

    Those have a stamp and a component that ends at the line's first colon, and no message that
    follows makes them longer. Only digits differ between lines of one layout.
    """

    def __init__(self) -> None:
        self._known: dict[str, Layout] = {}

    def split(self, text: str) -> tuple[Header, str]:
        """Header and message of one line."""
        text = text.lstrip(_BLANKS)
        if _PROSE.match(text):
            return _NO_HEADER, text
        end = text.find(_HEADER_END) + len(_HEADER_END)
        prefix = text[:end].translate(_ZEROS)
        layout = self._known.get(prefix)
        if layout is not None:
            message = text[end:].lstrip(_BLANKS)
            if message and not message.startswith(_GOES_ON):
                header = Header(text[layout.stamp], layout.level, text[layout.component])
                # The first character alone settles it for nearly all: then nothing more is asked.
                if message[0] in _MAY_OPEN or "=" in message:
                    return settled(header, message)
                return header, message
        if layout is not None or end < len(_HEADER_END) or may_be_record(text):
            return split_header(text)
        header, message = outer_header(text)
        if _header_is_decided(header, message, text, end):
            self._remember(prefix, header, text[:end])
        return settled(header, message)

    def _remember(self, prefix: str, header: Header, text: str) -> None:
        if len(self._known) >= _MOST_LAYOUTS:
            self._known.clear()
        stamp, component = text.rfind(header.stamp), text.rfind(header.component)
        self._known[prefix] = Layout(
            slice(stamp, stamp + len(header.stamp)),
            header.level,
            slice(component, component + len(header.component)),
        )


def _header_is_decided(header: Header, message: str, text: str, end: int) -> bool:
    """Whether the header ends where the first colon is, whatever message follows."""
    if not (header.stamp and header.component):
        return False
    if text[end:].lstrip(_BLANKS) != message or message.startswith(_GOES_ON):
        return False
    return all(outer_header(text[:end] + each) == (header, each) for each in _TEMPTING_MESSAGES)


_COLUMN = "  "
_LONGEST_RECORD = 65_536  # source: four times the 16 KiB at which container runtimes cut a line
# .NET's console writes the message on the line below its head.
_HEAD_ALONE = re.compile(r"\A((?:trce|dbug|info|warn|fail|crit): \S{1,256}\[-?\d+\])\r?\n\s*")
PLACEHOLDER = "<*>"
_SPACES = re.compile(r"\s+")


class MinerConfig(FrozenModel):
    """How templates are mined; the defaults are meant for every format.

    `siblings` is how many alternatives in one place make a word a value; None: its form alone
    decides, nothing is learnt. `max_line` and `max_token`
    are in characters: the rest of a longer line is not mined, a longer token is a value.
    `max_templates` and `cache` bound the memory; `year` completes timestamps that name none.
    """

    siblings: int | None = Field(default=4, ge=2)
    max_line: int = Field(default=4096, ge=64)
    max_token: int = Field(default=256, ge=16)
    max_templates: int = Field(default=20_000, ge=2)
    cache: int = Field(default=200_000, ge=1)
    year: int = Field(default=1970, ge=1970, le=9999)


@dataclass(frozen=True, slots=True)
class Variable:
    """A part of a line that changes, with what it looks like."""

    kind: VariableKind
    text: str


@dataclass(frozen=True, slots=True)
class Template:
    """A mined template; `id` is the hash of its text, so it survives restarts."""

    id: str
    text: str
    count: int


class ParsedLine(NamedTuple):
    """One line taken apart; what is costly and seldom asked for is computed when asked for."""

    template_id: str
    template: str
    content: str
    header: Header
    year: int

    @property
    def timestamp(self) -> Timestamp | None:
        """The header's time in Unix seconds (UTC unless it names an offset), or None."""
        return self.header.timestamp(self.year)

    @property
    def level(self) -> str:
        """The header's level in capitals, `""` where it says none."""
        return self.header.level

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variable parts in order of appearance."""
        return variables(self.template, self.content)


def variables(template: str, content: str) -> tuple[Variable, ...]:
    """What stands at each `<*>` of the template, in linear time.

    >>> [v.text for v in variables("user <*> from <*>", "user ann from 10.0.0.1")]
    ['ann', '10.0.0.1']
    """
    text = _SPACES.sub(" ", content.strip())
    first, *constants = template.split(PLACEHOLDER)
    position = len(first)
    found = []
    for number, constant in enumerate(constants, start=1):
        if number == len(constants):
            end = len(text) - len(constant)
        else:
            end = text.find(constant, position) if constant else position
        end = max(end, position)
        value = text[position:end]
        found.append(Variable(kind_of(value), value))
        position = end + len(constant)
    return tuple(found)


def template_id(template: str) -> str:
    """Twelve hex digits of the SHA-256 of the template text."""
    return hashlib.sha256(template.encode("utf-8", "replace")).hexdigest()[:12]


class Miner:
    """Streaming template miner: `add` a line, read `templates`.

    A line is split at blanks, each token masked by its form (number, address, path, ...) and the
    masked line looked up; only a masked line never seen before is grouped (see `groups`). One
    configuration serves every format. Time per line is constant, memory bounded by the config.

    >>> miner = Miner()
    >>> miner.add("2024-05-01 10:00:00 INFO took 35 ms for /a/b").template
    'took <*> ms for <*>'

    Sources: the look-up of masked tokens follows Drain (He et al., ICWS 2017), the judgement of
    words by their alternatives IPLoM (Makanju et al., KDD 2009).
    """

    def __init__(self, config: MinerConfig | None = None) -> None:
        self._config = config or MinerConfig()
        self._groups = MessageGroups(self._config.siblings, self._config.max_templates)
        self._masks = TokenMasks(self._config.cache, self._config.max_token)
        self._layouts = Layouts()
        self._most = self._config.max_line
        self._lines: dict[str, MessageGroup] = {}
        self._told: dict[str, str] = {}
        self._by_id: dict[str, MessageGroup] = {}

    def add(self, text: str) -> ParsedLine:
        """Take one raw line: its header is recognised and set aside, the message is mined."""
        text = self._clean(text)
        header, content = self._layouts.split(text)
        if header.request is None and content.isprintable() and len(content) <= self._most:
            masks = self._masks
            masked = " ".join([masks[token] for token in content.split()])
            group = self._lines.get(masked)
            # Lines of access logs are filed by what is told of them: this one is none.
            if group is not None:
                if not header.level and (
                    level := self._told.get(masked) or level_of_priority(text)
                ):
                    header = header._replace(level=level)
                return self._parsed(header, masked, content, group)
        return self._add_new(text, header, content)

    def _request(self, text: str, header: Header, content: str) -> Request | None:
        if header.request is None and header.level not in ALARMING and may_be_request(text):
            return read_request(content) or read_request(text)
        return header.request

    def _add_new(self, text: str, header: Header, content: str) -> ParsedLine:
        """Mine a line whose like has not been seen, or which tells of a request."""
        content = self._clean(content)[: self._most]
        masked, told = self._masked(content), level_told(content)
        if not header.level:
            header = header._replace(level=told or level_of_priority(text))
        request = self._request(text, header, content)
        if request is not None:
            return self._add_request(request, header, content)
        if told:
            self._told[masked] = told
        return self._parse(header, masked, content)

    def _add_request(self, request: Request, header: Header, content: str) -> ParsedLine:
        """Mine a request with its status, and what the message of its record says beyond that."""
        told, masked, level = request.told, request.masked, header.level
        message = content if header.request is not None else request.message
        if message and request.path not in message:
            told, masked = f"{told}: {message}", f"{masked}: {self._masked(message)}"
        if request.failed and (not level or told == request.told):
            level = "ERROR"
        return self._parse(header._replace(level=level, request=request), masked, told)

    def add_content(self, content: str) -> ParsedLine:
        """Take one message that has no header."""
        content = self._clean(content)[: self._config.max_line]
        return self._parse(Header(), self._masked(content), content)

    def resolve(self, former_id: str) -> Template:
        """The present template of an id that `add` once returned; KeyError if it is unknown."""
        group = self._by_id[former_id].current()
        return Template(*self._identity(group), group.count)

    def templates(self) -> list[Template]:
        """All templates, most frequent first."""
        found = [Template(*self._identity(g), g.count) for g in self._groups.living()]
        return sorted(found, key=lambda t: (-t.count, t.text))

    def _clean(self, text: str) -> str:
        most = self._config.max_line
        if "\n" in text:
            text = gist(_HEAD_ALONE.sub(r"\1 ", text))
        if len(text) > most:
            # The message may stand at the end of a record, and a cut one says less.
            text = text[: max(most, _LONGEST_RECORD) if "{" in text[:most] else most]
        return text if text.isprintable() else strip_controls(text.replace("\t", _COLUMN))

    def _masked(self, content: str) -> str:
        masks = self._masks
        return " ".join([masks[token] for token in content.split()])

    def _parse(self, header: Header, masked: str, content: str) -> ParsedLine:
        group = self._lines.get(masked) or self._place(masked)
        return self._parsed(header, masked, content, group)

    def _parsed(self, header: Header, masked: str, content: str, group: MessageGroup) -> ParsedLine:
        if group.into is not None:
            group = self._lines[masked] = group.current()
        group.count += 1
        identity = group.identity or self._identity(group)
        return ParsedLine(identity[0], identity[1], content, header, self._config.year)

    def _place(self, masked: str) -> MessageGroup:
        if len(self._lines) >= self._config.cache:
            self._lines.clear()
            self._told.clear()
        if self._groups.full():
            self._forget()
        group = self._lines[masked] = self._groups.place(shape_of(mask_phrases(masked)))
        return group

    def _forget(self) -> None:
        kept = self._groups.forget()
        self._lines.clear()
        self._told.clear()
        self._by_id = {self._identity(group)[0]: group for group in kept}

    def _identity(self, group: MessageGroup) -> tuple[str, str]:
        if group.identity is None:
            text = str(group.text).replace(VARIABLE * 2, PLACEHOLDER).replace(VARIABLE, PLACEHOLDER)
            group.identity = (template_id(text), text)
            self._by_id[group.identity[0]] = group
        return group.identity
