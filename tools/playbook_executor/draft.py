"""Make a draft playbook of what people have: a Markdown runbook, or an Ansible playbook.

The draft says `FILL-IN` wherever only a person knows; `parse` refuses it until none is left. What
is read here is text from outside: nothing of it is run, followed or fetched. Source of the fields:
CommonMark 0.31; Ansible, Playbook Keywords.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePath
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pydantic import JsonValue

from tools.log_retriever.sanitize import strip_controls
from tools.playbook_executor.errors import PlaybookError
from tools.playbook_executor.parameters import HOLE
from tools.playbook_executor.parse import FILL_IN, MAX_CHARACTERS, parse, read_yaml

MOST_STEPS, LONGEST, HEAD, ID_WORDS, ID = 12, 600, 120, 6, 60
"""Steps of a playbook, characters of an instruction and of a title, words and characters of an id.
source: `Playbook`, `ManualArguments`; a title is a line of a card."""

_BACK = re.compile(r"roll.?back|undo|revert|backout|回滚|回退|撤销", re.IGNORECASE)
_LOOK = re.compile(
    r"verif|validat|check|confirm|symptom|diagnos|验证|确认|检查|症状", re.IGNORECASE
)
_PLACE = re.compile(
    r"\$\{(\w{1,41})\}|\$(\w{1,41})|\{\{ ?(\w{1,41}) ?\}\}|<([A-Za-z][\w -]{0,40})>"
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_SUBJECT = frozenset({"service", "app", "application", "component", "deployment", "svc"})
_OBJECT = r"(?:deploy(?:ments?)?[/ ])?(\$\{\w+\}|[A-Za-z0-9][A-Za-z0-9.-]*)"
_KUBECTL: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(rf"kubectl scale {_OBJECT} --replicas[= ](\d+|\$\{{\w+\}})"),
        '{{verb: scale, kind: deployment, name: "{0}", replicas: {1}}}',
    ),
    (
        re.compile(rf"kubectl rollout (restart|undo) {_OBJECT}"),
        '{{verb: rollout_{0}, kind: deployment, name: "{1}"}}',
    ),
    (
        re.compile(r"kubectl (cordon|uncordon|drain) (\$\{\w+\}|[A-Za-z0-9][A-Za-z0-9.-]*)"),
        '{{verb: {0}, kind: node, name: "{1}"}}',
    ),
)
"""Commands that a typed step does as well. source: kubectl reference, 1.31. A command with further
options is none of them: they may mean another namespace or cluster."""

_CLAUSE = re.compile(
    r"[.;:!?,()，。；：！？、（）]|\s[-–—]+\s|\b(?:and|but|then|so)\b|但是?|并且|然后|所以",
    re.IGNORECASE,
)
_PREFACE = re.compile(
    r"(?:if|when|while|unless|before|after|until|once|in case|during|since|because)\b|"
    r"(?:at|in|on)(?: \S+){1,3}$|"
    r"如果|若|当|在|除非|只要|因为|[^a-z\u3400-\u9fff]*(?:warning|caution|danger|note|notice|attention|"
    r"important|step \d+|警告|注意|危险|重要|提示|切记)?[^a-z\u3400-\u9fff]*$",
    re.IGNORECASE,
)
"""A clause that orders nothing itself: a condition, or a word that calls for attention."""
_FORBIDS = re.compile(
    r"(?:[^a-z\u3400-\u9fff]|\b(?:please|you|we|ever|also|just|make sure|be sure|ensure|to|that)\b|"
    r"请|您|你|也|务必|千万|一定|确保|注意)*"
    r"(?:\bdo ?n['’]?t\b|\bdo not\b|\bnot to\b|\bnot\b|\bnever\b|\bavoid|\bcannot\b|"
    r"\bcan(?: not|['’]t)\b|\bno need\b|\bunder no\b|\brefrain\b|"
    r"不要|不能|不应|不宜|不必|不用|无需|无须|勿|别(?![的处人名])|避免|切忌)"
    r"(?!\s*(?:forget|hesitate|忘|犹豫|不))"
    r"|.*?(?:\b(?:must|should|shall|may)(?: not|n['’]t)\b|\b(?:forbidden|prohibited|not allowed)\b|"
    r"不得(?!不)|不准|不许|请勿|切勿|严禁|禁止|不可以|不要(?!求|紧|忘|犹豫))"
    r"|(?:at|during|in|on)\b.*?\b(?:do not|do ?n['’]t|never)\b",
    re.IGNORECASE,
)
"""An order not to: at the head of a clause, or by a word that says nothing else."""
_BANS = re.compile(
    r"\bnot to do\b|\bdo ?n['’]?ts?\b|\bdo not\b|\bnever\b|\bavoid\b|forbidden|prohibited|"
    r"anti.?pattern|不要|禁止|严禁|切勿|请勿|禁忌|不能做|不可做",
    re.IGNORECASE,
)
"""A heading of what is not to be done."""
_INSTEAD = re.compile(r"\binstead\b|\brather\b|而是|改为|应当?该?", re.IGNORECASE)


_Open = Callable[[str], str]
"""What stands where a person has to decide: the marker, or an example that fits."""


class DraftStep(NamedTuple):
    """A step of a draft: its title, and the text of its action and arguments in YAML."""

    title: str
    action: str
    arguments: str


class DraftPlaybook(NamedTuple):
    """What was found, and what the person who fills it in has to know."""

    name: str
    title: str
    steps: Sequence[DraftStep]
    back: Sequence[DraftStep]
    check: str
    numbers: frozenset[str]
    notes: Sequence[str]

    def text(self, *, sample: bool = False) -> str:
        """The YAML; `sample` puts values that fit where a person has to."""

        def open_(example: str) -> str:
            return example if sample else FILL_IN

        # A playbook has a parameter; where the text names no value, it is who is acted on.
        used = dict.fromkeys(HOLE.findall(f"{self.title}{self._body('')}")) or {"service": None}
        subject = next((one for one in used if one in _SUBJECT), None)
        lines = [
            f"# Draft. Replace every {FILL_IN}, then: copilot playbook validate FILE",
            *(f"# {' '.join(strip_controls(note).split())}" for note in self.notes),
            f"id: {self.name}",
            f"title: {_said(self.title)}",
            f"risk: {open_('C')}  # A only reads, B can be undone, C disrupts or cannot be undone",
            "applies:",
            f"  - faults: [{open_('errors')}]  # docs/playbooks.md has the kinds",
            "parameters:",
            *(line for one in used for line in self._parameter(one, one == subject, open_)),
            self._body(open_("text")),
            "verification: {watch: [component, entry], hold_s: 60, within_s: 600}",
            f"expected_effect: {_said(open_('text'))}",
            f"check: {_said(self.check or open_('text'))}",
            f"blast_radius: {{instances: {open_('1')}, notice: {_said(open_('text'))}}}",
            f"cooldown_s: {open_('600')}",
            f'lock: "{self.name}{"/${" + subject + "}" if subject else ""}"',
        ]
        return "\n".join(lines) + "\n"

    def _body(self, why: str) -> str:
        back = _steps("rollback", self.back) or f"irreversible: {_said(why)}  # or a rollback"
        return f"{_steps('steps', self.steps)}\n{back}"

    def _parameter(self, name: str, subject: bool, open_: _Open) -> Iterator[str]:
        yield f"  - name: {name}"
        yield f"    type: {'integer' if name in self.numbers else 'name'}"
        yield f"    title: {_said(name.replace('_', ' '))}"
        yield "    source: component" if subject else f"    source: fact\n    fact: {name}"
        if name in self.numbers:
            yield f"    minimum: {open_('1')}\n    maximum: {open_('10')}"


def _said(text: str) -> str:
    """The text in both languages: it is there in one."""
    quoted = json.dumps(text, ensure_ascii=False)
    return f"{{en: {quoted}, zh: {quoted}}}"


def _steps(key: str, steps: Sequence[DraftStep]) -> str:
    if not steps:
        return ""
    lines = [f"{key}:"]
    for step in steps:
        lines.append(f"  - title: {_said(step.title)}")
        lines.append(f"    action: {step.action}\n    arguments: {step.arguments}")
    return "\n".join(lines)


def draft(text: str, source: str) -> str:
    """The draft, in YAML, of a Markdown or Ansible file; `PlaybookError` says what to do instead.

    What a person would make of it is parsed once, so that only what is open can be wrong.
    """
    if len(text) > MAX_CHARACTERS:
        raise PlaybookError(source, 1, f"longer than {MAX_CHARACTERS} characters; split it")
    path = PurePath(source)
    name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")
    words = [word for word in name.split("-") if word][:ID_WORDS]
    if not words or not words[0][0].isalpha():
        raise PlaybookError(source, 1, "rename the file: the playbook gets its name in a-z, 0-9, -")
    make = _of_ansible if path.suffix.lower() in (".yml", ".yaml") else _of_markdown
    found = make(text, source, "-".join(words)[:ID])
    try:
        parse(found.text(sample=True), source)
    except PlaybookError as error:
        problem = f"a draft of it would not be a playbook: {error.problem}; write it by hand"
        raise PlaybookError(source, 1, problem) from error
    return found.text()


# --- Markdown -----------------------------------------------------------------------------------


class _Line(NamedTuple):
    heading: str
    text: str
    code: str
    line: int


def _of_markdown(text: str, source: str, name: str) -> DraftPlaybook:
    """Items of lists become steps: typed where a command is one of ours, else by hand."""
    body = re.sub(r"\A---\n.{0,8000}?\n---\n", "", text, flags=re.DOTALL)
    tokens = MarkdownIt().parse(body)
    title, items = _items(tokens)
    notes = [
        f"line {one.line} says what not to do, and is no step: {one.text}"[:LONGEST]
        for one in items
        if _warns(one)
    ]
    items = [one for one in items if not _warns(one)]
    steps = [_step(one, notes) for one in items if not _named(one, _BACK, _LOOK)]
    back = [_step(one, notes) for one in items if _named(one, _BACK)]
    looks = [one.text for one in items if _named(one, _LOOK) and not _named(one, _BACK)]
    if not steps:
        raise PlaybookError(source, 1, "has no list of steps; write one step to a line: 1. …")
    if len(steps) > MOST_STEPS or len(back) > MOST_STEPS:
        raise PlaybookError(source, 1, f"has more than {MOST_STEPS} steps; split it")
    numbers = frozenset(re.findall(r"replicas: \$\{(\w+)\}", repr(steps + back)))
    quoted = [
        DraftStep(
            s.title, s.action, re.sub(r"replicas: (\$\{\w+\})", r'replicas: "\1"', s.arguments)
        )
        for s in (*steps, *back)
    ]
    return DraftPlaybook(
        name=name,
        title=_holed(title or name.replace("-", " "), notes)[:HEAD],
        steps=quoted[: len(steps)],
        back=quoted[len(steps) :],
        check=_holed("; ".join(looks), notes)[:LONGEST],
        numbers=numbers,
        notes=tuple(dict.fromkeys(notes)),
    )


def _items(tokens: Sequence[Token]) -> tuple[str, list[_Line]]:
    """The first heading, and each item of a list with its text, its code and the heading above."""
    title = heading = ""
    items: list[_Line] = []
    depth = 0
    for place, token in enumerate(tokens):
        depth += token.nesting if token.type.startswith("list_item") else 0
        if token.type == "heading_open":
            heading = tokens[place + 1].content
            title = title or heading
        elif token.type == "list_item_open" and depth == 1:
            items.append(_Line(heading, "", "", (token.map or [0])[0] + 1))
        elif depth and token.type == "inline":
            items[-1] = items[-1]._replace(text=f"{items[-1].text} {token.content}".strip())
        elif token.type in ("fence", "code_block") and items and items[-1].heading == heading:
            items[-1] = items[-1]._replace(code=f"{items[-1].code}\n{token.content}".strip())
    return strip_controls(title), items


def _named(line: _Line, *patterns: re.Pattern[str]) -> bool:
    return any(pattern.search(line.heading) for pattern in patterns)


def _warns(line: _Line) -> bool:
    """Whether it says what not to do: nothing of it is to be done as a step."""
    if _named(line, _BANS):
        return True
    orders = [one for one in _clauses(line) if _FORBIDS.match(one) or not _PREFACE.match(one)]
    return bool(orders and _FORBIDS.match(orders[0])) and not _INSTEAD.search(line.text)


def _clauses(line: _Line) -> Sequence[str]:
    """What it says, apart; a command in it is not looked at."""
    text = re.sub(r"`[^`]*`", " X ", line.text[:LONGEST])
    return [one.strip() for one in _CLAUSE.split(text)]


def _step(line: _Line, notes: list[str]) -> DraftStep:
    text = _holed(line.text, notes)
    code = _holed(line.code or "\n".join(re.findall(r"`([^`]+)`", line.text)), notes)
    # What forbids something in part is for a person to read, whatever its command is.
    partly = any(_FORBIDS.match(one) for one in _clauses(line))
    for pattern, arguments in () if partly else _KUBECTL:
        if match := pattern.fullmatch(" ".join(code.split())):
            notes.append(f"{code}: done by the Kubernetes runner, in the namespace it is given")
            return DraftStep(text[:HEAD] or code, "kubernetes", arguments.format(*match.groups()))
    whole = f"{text}: {code}" if line.code else text
    if len(whole) > LONGEST:
        notes.append(f"line {line.line}: cut to {LONGEST} characters")
    instruction = json.dumps(whole[:LONGEST], ensure_ascii=False)
    return DraftStep(text[:HEAD] or whole[:HEAD], "manual", f"{{instruction: {instruction}}}")


def _holed(text: str, notes: list[str]) -> str:
    """The text on one line; its placeholders as holes, and no other `$` in it."""

    def hole(match: re.Match[str]) -> str:
        found = next(part for part in match.groups() if part)
        name = re.sub(r"[^a-z0-9]+", "_", found.lower()).strip("_")
        return f"\x00{name}\x01" if _NAME.fullmatch(name) else match[0]

    plain = " ".join(strip_controls(text).split())
    named = _PLACE.sub(hole, plain)
    if "$" in named:
        notes.append("a dollar sign that names no value is written ＄: see the runbook itself")
    return named.replace("$", "＄").replace("\x00", "${").replace("\x01", "}")


# --- Ansible ------------------------------------------------------------------------------------


def _of_ansible(text: str, source: str, name: str) -> DraftPlaybook:
    """One step that runs it by `ansible-playbook`; its hosts and plain variables are parameters."""
    plays = read_yaml(text, source).value
    if not isinstance(plays, list) or not all(_is_play(one) for one in plays):
        problem = "is no Ansible playbook: a list of plays with `hosts`; import names no roles file"
        raise PlaybookError(source, 1, problem)
    path = PurePath(source).as_posix()
    if not path.startswith("/"):
        raise PlaybookError(source, 1, "its whole path is needed: a step has no folder of its own")
    variables: dict[str, JsonValue] = {}
    for play in plays:
        assert isinstance(play, dict)
        given = play.get("vars")
        variables |= given if isinstance(given, dict) else {}
    notes = ["[command] of the runners file has to name ansible-playbook; it gets no environment"]
    taken = {key: one for key, one in variables.items() if _fits(key, one)}
    if left := sorted(set(map(str, variables)) - set(taken)):
        notes.append(f"as the playbook has them: {strip_controls(', '.join(left))[:HEAD]}")
    argv = ["ansible-playbook", "--limit", "${hosts}"]
    for key in taken:
        argv += ["-e", f"{key}=${{{key}}}"]
    plays_ = [str(one.get("name") or "") for one in plays if isinstance(one, dict)]
    title = _holed(next(filter(None, plays_), name.replace("-", " ")), notes)[:HEAD]
    arguments = json.dumps({"argv": [*argv, path]}, ensure_ascii=False)
    step = DraftStep(title, "command", arguments)
    numbers = frozenset(key for key, one in taken.items() if isinstance(one, int))
    return DraftPlaybook(name, title, [step], [], "", numbers, tuple(notes))


def _is_play(value: JsonValue) -> bool:
    return isinstance(value, dict) and "hosts" in value


def _fits(key: str, value: JsonValue) -> bool:
    """A name or a whole number: what can stand in `-e` and mean nothing else there."""
    if not _NAME.fullmatch(key) or isinstance(value, bool) or key == "hosts":
        return False
    token = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9](?:[\w.-]*\w)?", value, re.ASCII)
    return bool(token) or isinstance(value, int)
