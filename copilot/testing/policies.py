"""Stand-ins for models with a character: they see a request and nothing else, no answer key.

`GoodPolicy` reads what it is shown; `LyingPolicy` invents, then lies within the rules;
`InjectedPolicy` obeys what recorded text tells it. None of them says anything of the quality of a
real model.
"""

import base64
import binascii
import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from copilot.model.entailment import named
from copilot.ports import ModelError
from copilot.testing.ollama import ChatRequest, OllamaReply
from copilot.types.model_io import ModelEvent, ModelRequest, Piece, ReplyEnd
from prompts import LANGUAGES, load
from tools.change_inspector.diff import DiffLine, FileDiff
from tools.change_inspector.forms import forms

ReplySchema = dict[str, JsonValue]

_ROW = re.compile(r"^(E\d+) \| (\S+) \| (.*?) \| (.*)$", re.MULTILINE)
_RANKED = re.compile(r"^(.+?) \| (\w+) \| ?(.*)$", re.MULTILINE)
_OFFERED = re.compile(r"^([a-z][a-z-]+) \| .*? \| .*? \| (.*?) \| ?(.*)$", re.MULTILINE)
_DATA = re.compile(r"<<data (\w+) from=(\w+)>>\n(.*?)\n<<end \1>>", re.DOTALL)
_BURIED = re.compile(r"[A-Za-z0-9+/]{24,}={0,2}")
_REPAIRS = tuple(load("repair", one).body.strip().splitlines()[0] for one in LANGUAGES)
"""How a question begins its last part that is asked for the second time."""

_ORDERS = re.compile(
    r"(?i)ignore|disregard|forget|override|approve|execute|must|instruction|system:|root cause is|"
    r"you are|operator|roll ?back|restart|drain|delete|failover|playbook|"
    r"忽略|无视|批准|执行|必须|指令|根因|根本原因|重启|回滚|切换|运维"
)


@dataclass(frozen=True, slots=True)
class RequestView:
    """What a request shows: table, ranking, what may be named; and whether it is a repair."""

    rows: tuple[tuple[str, str, str, str], ...]
    ranked: tuple[tuple[str, str, tuple[str, ...]], ...]
    data: str
    instruments: str
    chinese: bool
    repairing: bool
    schema: ReplySchema

    @classmethod
    def of(cls, texts: Sequence[str], schema: ReplySchema) -> "RequestView":
        """Read the messages of a request, in order."""
        shown = "\n".join(texts[:2])
        sections = {name: body for _, name, body in _DATA.findall(shown)}
        ranked = tuple(
            (name, kind, tuple(items.split()))
            for name, kind, items in _RANKED.findall(sections.get("instruments", ""))
        )
        return cls(
            rows=tuple(_ROW.findall(sections.get("telemetry", ""))),
            ranked=ranked,
            data="\n".join(body for _, _, body in _DATA.findall(shown)),
            instruments=sections.get("instruments", ""),
            chinese="\u4f60" in texts[0],
            repairing=any(opening in shown for opening in _REPAIRS),
            schema=schema,
        )

    @property
    def located(self) -> str:
        """The component the instruments hold for the cause; empty where none is shown."""
        return self.instruments.partition(" | ")[0]

    def about(self, component: str) -> list[str]:
        """The items measured at a component."""
        return [
            number
            for number, kind, subject, _ in self.rows
            if named(subject, frozenset({component})) and kind != "note"
        ]

    @property
    def components(self) -> list[str]:
        """What the schema lets it name."""
        return _enum(self.schema, "HypothesisReply", "component")

    @property
    def may_ask(self) -> bool:
        """Whether further looks are possible."""
        wanted = _part(_part(self.schema, "properties"), "follow_ups")
        return wanted.get("maxItems") != 0


class GoodPolicy:
    """Explains the ranking by the items it rests on, asks for one look, repeats nothing."""

    def __call__(self, texts: Sequence[str], schema: ReplySchema) -> str:
        seen = RequestView.of(texts, schema)
        asked = _part(schema, "properties")
        if "hypotheses" in asked:
            return _dumped(self.diagnosis(seen))
        if "sentences" in asked:
            return _dumped({"sentences": [_sentence(row, seen) for row in _leading(seen)[:3]]})
        if "playbook" in asked:
            return _dumped(_first_offered(seen))
        if "verdict" in asked:
            said = "开始时间相近" if seen.chinese else "Both began at about the same time."
            return _dumped({"verdict": "split", "noise": "no", "reason": said})
        return "{}"

    def diagnosis(self, seen: RequestView) -> dict[str, JsonValue]:
        """A hypothesis for each of the two leading candidates that has items of its own."""
        found: list[JsonValue] = []
        for component, kind, items in seen.ranked[:3]:
            own = set(seen.about(component))
            supports = [one for one in items if one in own] or [*own][:1]
            if supports:
                found.append(_hypothesis(component, kind, supports[:4], seen.chinese))
        first_look = seen.may_ask and not any(row[1] == "note" for row in seen.rows)
        other = seen.ranked[1][0] if len(seen.ranked) > 1 else ""
        looks: list[JsonValue] = []
        if first_look and other:
            looks.append({"kind": "metrics_of", "component": other})
        return {"hypotheses": found[:2], "follow_ups": looks}


class LyingPolicy:
    """Invents evidence at first; told so, it blames the least likely component, correctly cited."""

    def __call__(self, texts: Sequence[str], schema: ReplySchema) -> str:
        seen = RequestView.of(texts, schema)
        if not seen.repairing:
            return _dumped(_invented(seen))
        asked = _part(schema, "properties")
        if "playbook" in asked:
            return _dumped(_worst_offered(seen))
        if "hypotheses" not in asked:
            return GoodPolicy()(texts, schema)
        blamed = next(
            (name for name in reversed(seen.components) if seen.about(name)), seen.components[-1]
        )
        supports = seen.about(blamed)[:3] or ["E1"]
        lie: JsonValue = _hypothesis(blamed, "bad_deploy", supports, seen.chinese)
        look: JsonValue = {"kind": "logs_of", "component": blamed}
        return _dumped({"hypotheses": [lie], "follow_ups": [look] if seen.may_ask else []})


class InjectedPolicy:
    """Does what recorded text tells it: blames whom that names, in its words; encoded as well."""

    def __call__(self, texts: Sequence[str], schema: ReplySchema) -> str:
        seen = RequestView.of(texts, schema)
        orders = [line for line in _readings(seen.data) if _ORDERS.search(line)]
        asked = _part(schema, "properties")
        if not orders:
            return GoodPolicy()(texts, schema)
        if "sentences" in asked:
            number = seen.rows[0][0] if seen.rows else "E1"
            return _dumped({"sentences": [{"text": orders[0][:280], "cites": [number]}]})
        if "verdict" in asked:
            return _dumped({"verdict": "merge", "noise": "yes", "reason": orders[0][:150]})
        if "hypotheses" not in asked:
            return _dumped(_ordered(seen, orders))
        return _dumped(self._obedient(seen, orders))

    def _obedient(self, seen: RequestView, orders: Sequence[str]) -> dict[str, JsonValue]:
        blamed = _named(orders, seen.components) or seen.components[-1]
        supports = seen.about(blamed)[:3] or [seen.rows[0][0]]
        lie = _hypothesis(blamed, "bad_config", supports, seen.chinese)
        if not seen.repairing:
            lie |= {"because": orders[0][:380], "missing": orders[-1][:150]}
        look: JsonValue = {"kind": "logs_of", "component": blamed}
        return {"hypotheses": [lie], "follow_ups": [look] if seen.may_ask else []}


_CHANGED = re.compile(r"^(L\d+) \| (\S+) \| (\S+) \| ([-+]) (.*)$", re.MULTILINE)


class CarefulReaderPolicy:
    """Reads changed lines: points at the first in which a form of harm shows, else at none."""

    def __call__(self, texts: Sequence[str], schema: ReplySchema) -> str:
        rows = _CHANGED.findall(texts[-1])
        for number, sha, path, _, said in rows:
            lines = (DiffLine(row[3], row[4]) for row in rows if row[1:3] == (sha, path))
            file = FileDiff(path, tuple(lines))
            if any(shown.text.strip().lower() in said.lower() for form in forms()
                   for shown in form.shows(file)):  # fmt: skip
                return _dumped({"because": f"{path} does harm", "line": number})
        return _dumped({"because": "none does harm", "line": ""})


class HastyReaderPolicy:
    """Points at the first changed line, whatever it is."""

    def __call__(self, texts: Sequence[str], schema: ReplySchema) -> str:
        rows = _CHANGED.findall(texts[-1])
        return _dumped({"because": "it is the newest", "line": rows[0][0] if rows else ""})


_ASKED = re.compile(r"^(\d+)\. (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ReaderPolicy:
    """Takes each question for what `means` says of its text, of the service that `about` says."""

    means: Callable[[str], str]
    about: Callable[[str], str] = lambda _text: ""

    def __call__(self, texts: Sequence[str], schema: ReplySchema) -> str:
        """Return a reading of each question that is shown."""
        read: list[JsonValue] = [
            {"number": int(number), "service": self.about(text), "means": self.means(text)}
            for number, text in _ASKED.findall(texts[-1])
        ]
        return _dumped({"read": read})


PolicyFunction = Callable[[Sequence[str], ReplySchema], str]
"""What a stand-in says to the messages of a request, in order, under a schema."""


@dataclass(frozen=True, slots=True)
class ServedPolicy:
    """A stand-in as the policy of a server."""

    say: PolicyFunction

    def __call__(self, request: ChatRequest) -> OllamaReply:
        texts = [message.content for message in request.messages]
        return OllamaReply(text=self.say(texts, request.schema_asked or {}))


@dataclass(slots=True)
class PolicyModel:
    """A stand-in behind the model port, in this process; `broken` is raised instead of a reply."""

    say: PolicyFunction
    name: str = "scripted policy"
    context_tokens: int = 16_384
    broken: ModelError | None = None
    requests: list[ModelRequest] = field(default_factory=list)

    def tokens(self, text: str) -> int:
        """Three letters or one Chinese character a token: never too low."""
        wide = sum(character > "\u2e80" for character in text)
        return wide + -(-(len(text) - wide) // 3)

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """The whole reply at once."""
        self.requests.append(request)
        if self.broken is not None:
            raise self.broken
        texts = [message.content for message in request.messages]
        said = self.say(texts, request.reply_schema or {})
        yield Piece(text=said)
        yield ReplyEnd(
            reason="stop",
            model=self.name,
            prompt_tokens=sum(map(self.tokens, texts)),
            reply_tokens=self.tokens(said),
        )


def _hypothesis(
    component: str, kind: str, supports: Sequence[str], chinese: bool
) -> dict[str, JsonValue]:
    return {
        "component": component,
        "fault_kind": kind,
        "because": f"{component} 自身的测量值偏离了正常范围,调用它的组件随后受到影响"
        if chinese
        else f"The measurements of {component} left their normal range; its callers suffer.",
        "supports": list(supports),
        "contradicts": [],
        "falsified_by": "如果它自身的指标一直正常" if chinese else "its own metrics staying normal",
        "missing": "",
    }


def _first_offered(seen: RequestView) -> dict[str, JsonValue]:
    """The first playbook that nothing keeps from being run, by the first items of the table."""
    ready = [row for row in _OFFERED.findall(seen.data) if not row[1] and not row[2]]
    return _choice(ready[0][0] if ready else "", seen)


def _worst_offered(seen: RequestView) -> dict[str, JsonValue]:
    """The last playbook there is, with values that nobody measured."""
    rows = _OFFERED.findall(seen.data)
    lacking = [name for row in rows[-1:] for name in re.findall(r"[a-z_]+(?= \(|,|$)", row[1])]
    values: list[JsonValue] = [{"name": name, "value": "ghost"} for name in lacking]
    return _choice(rows[-1][0] if rows else "", seen) | {"parameters": values}


def _ordered(seen: RequestView, orders: Sequence[str]) -> dict[str, JsonValue]:
    """What recorded text names, with every word of it that a parameter might be."""
    named = _named(orders, [row[0] for row in _OFFERED.findall(seen.data)])
    lacking = [
        name
        for row in _OFFERED.findall(seen.data)
        if row[0] == named
        for name in re.findall(r"[a-z_]+(?= \(|,|$)", row[1])
    ]
    word = re.findall(r"[\w-]+", orders[0])[-1:] or ["ghost"]
    values: list[JsonValue] = [{"name": name, "value": word[0]} for name in lacking]
    said: dict[str, JsonValue] = {} if seen.repairing else {"reason": orders[0][:230]}
    return _choice(named, seen) | {"parameters": values} | said


def _choice(playbook: str, seen: RequestView) -> dict[str, JsonValue]:
    nothing: dict[str, JsonValue] = {"text": "-", "cites": []}
    measured = next((_sentence(row, seen) for row in _leading(seen)), nothing)
    return {
        "playbook": playbook,
        "parameters": [],
        "cites": measured["cites"],
        "reason": measured["text"],
    }


def _invented(seen: RequestView) -> dict[str, JsonValue]:
    asked = _part(seen.schema, "properties")
    said = "99999 requests failed at 03:33:33 because ghost-service lost its disk."
    if "sentences" in asked:
        return {"sentences": [{"text": said, "cites": ["E9999"]}]}
    if "verdict" in asked:
        return {"verdict": "both", "noise": "perhaps", "reason": said}
    if "playbook" in asked:
        return _choice("rm-rf", seen) | {"reason": said, "cites": ["E9999"]}
    lie = _hypothesis("ghost-service", "gremlins", ["E9999"], chinese=False)
    return {"hypotheses": [lie | {"because": said}], "follow_ups": []}


def _leading(seen: RequestView) -> list[tuple[str, str, str, str]]:
    """The rows about the located component first; nothing twice about one subject."""
    located = seen.located
    ordered = sorted(seen.rows, key=lambda row: located not in row[2])
    return list({row[2]: row for row in reversed(ordered)}.values())[::-1]


def _sentence(row: tuple[str, str, str, str], seen: RequestView) -> dict[str, JsonValue]:
    number, _, subject, _ = row
    said = f"{subject} 出现异常。" if seen.chinese else f"{subject} left its normal range."
    return {"text": said, "cites": [number]}


def _readings(data: str) -> list[str]:
    """Each line as it stands, and what a helpful model would make of an encoded one."""
    found = []
    for line in data.splitlines():
        found += [line, codecs.decode(line, "rot13")]
        for buried in _BURIED.findall(line):
            try:
                found.append(base64.b64decode(buried, validate=True).decode())
            except (binascii.Error, UnicodeDecodeError):
                continue
    return found


def _named(orders: Sequence[str], names: Sequence[str]) -> str:
    """Whom an order names: what comes after its first commanding word."""
    for line in orders:
        found = _ORDERS.search(line)
        after = line[found.end() :] if found else line
        named = [name for name in names if name and name in after]
        if named:
            return min(named, key=after.index)
    return ""


def _part(schema: ReplySchema, name: str) -> ReplySchema:
    found = schema.get(name)
    return found if isinstance(found, dict) else {}


def _enum(schema: ReplySchema, shape: str, name: str) -> list[str]:
    properties = _part(_part(_part(schema, "$defs"), shape), "properties")
    values = _part(properties, name).get("enum")
    return [str(one) for one in values] if isinstance(values, list) else []


def _dumped(value: JsonValue | dict[str, JsonValue]) -> str:
    return json.dumps(value, ensure_ascii=False)
