"""`evals run chat`: what on-call engineers ask, of three recordings, held against a key.

An answer is right where all its patterns stand where they have to and it is no longer than allowed;
useful where most of them are anywhere in it; wrong where it says what is not so; else useless.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, get_args

import yaml
from pydantic import JsonValue
from rich.progress import Progress

import copilot
from copilot.ports import Model
from copilot.settings import Settings
from copilot.surfaces.chat import ChatService, Question
from copilot.surfaces.chat.understand import (
    LearnedUnderstanding,
    RuleUnderstanding,
    UnderstandingChain,
    language_of,
)
from copilot.surfaces.commands.chat_wiring import local_chat_service
from evals.chat import understanding
from evals.localization.cases import RECORDINGS
from evals.report import EvalArm, ModelOptions, Result, Table, number
from evals.worked_incident import work_on
from tools.types import FrozenModel

Grade = Literal["right", "useful", "useless", "wrong"]
GRADES: tuple[Grade, ...] = get_args(Grade)
MOST_OF = 0.5
"""Share of the patterns that a useful answer has, at least."""
FIRST = 3
"""Lines within which the answer has to stand: issue 18, section 5."""


class RecordedFacts(FrozenModel):
    """What is true of one recording."""

    name: str
    cause: str
    kind: str
    onset: str
    felt: str
    ill: tuple[str, ...]
    state: Literal["waiting", "recovered", "handed over"]
    change: str
    plan: str


class AnswerPattern(FrozenModel):
    """What a right answer to one meaning holds."""

    when: str
    first: tuple[str, ...]
    must: tuple[str, ...]
    never: tuple[str, ...] = ()
    lines: int


class AnswerKey(FrozenModel):
    """The key of all."""

    recordings: tuple[RecordedFacts, ...]
    answers: tuple[AnswerPattern, ...]

    def of(self, right: str) -> AnswerPattern | None:
        """The first pattern that fits what the data set says of a right answer."""
        return next((one for one in self.answers if re.search(one.when, right)), None)


class AskedQuestion(FrozenModel):
    """A question of the data set, with what is right of it and what it is about."""

    question: str
    right: str
    named: str


def answer_key() -> AnswerKey:
    """The key that ships."""
    text = (resources.files("evals.chat") / "answers.yaml").read_text(encoding="utf-8")
    return AnswerKey.model_validate(yaml.safe_load(text))


_SERVICES = re.compile(r"\b(gateway|checkout|cart|payment|shipping|carrier|store|catalog|bank)\b")


def questions(path: Path) -> list[AskedQuestion]:
    """The questions in their order; `same` is what the one before says, a name is kept for `it`."""
    read: list[AskedQuestion] = []
    right = named = ""
    for line in (path / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if not row["right"].startswith("same") or row["right"].startswith(
            ("same and", "same hour")
        ):
            right = row["right"]
        elif row["right"].startswith("same, two"):
            right = row["right"].removeprefix("same, ")
        found = _SERVICES.search(row["question"])
        named = found[0] if found else named
        read.append(AskedQuestion(question=row["question"], right=right, named=named))
    return read


def graded(asked: AskedQuestion, text: str, key: AnswerPattern, facts: RecordedFacts) -> Grade:
    """How good one answer is."""
    body = text.split("Rests on:")[0].split("依据:")[0].split("Records:")[0].split("记录:")[0]
    lines = [line for line in body.splitlines() if line.strip() and not re.match(r"\*[^*]", line)]
    filled = _filled(asked.named, facts)
    if any(re.search(_in(one, filled), "\n".join(lines)) for one in key.never):
        return "wrong"
    head, whole = "\n".join(lines[:FIRST]), "\n".join(lines)
    first = [bool(re.search(_in(one, filled), head, re.IGNORECASE)) for one in key.first]
    anywhere = [
        bool(re.search(_in(one, filled), whole, re.IGNORECASE)) for one in (*key.first, *key.must)
    ]
    spoken = language_of(asked.question, "en") == language_of(head, "en")
    if all(first) and all(anywhere) and len(lines) <= key.lines and spoken:
        return "right"
    return "useful" if sum(anywhere) > MOST_OF * len(anywhere) else "useless"


def _filled(named: str, facts: RecordedFacts) -> Mapping[str, str]:
    well, ill = "is (healthy|well)|正常", "not (healthy|well)|ill|fail|slow|不正常|失败|变慢"
    is_ill = named in facts.ill
    return {
        **{name: str(value) for name, value in facts.model_dump().items()},
        "named": named or facts.cause,
        "health": ill if is_ill else well,
        "unhealth": "(is healthy|正常)" if is_ill else "(is not healthy|不正常)",
        "page": "yes|page|要|应" if "payment" in facts.ill else r"\bno\b|not|不",
        "decided": "anna" if facts.state == "recovered" else "nobody|no one|无人|没有",
        "outcome": "normal|recovered|恢复|正常"
        if facts.state == "recovered"
        else "not|no |没有|尚未",
    }


def _in(pattern: str, filled: Mapping[str, str]) -> str:
    return re.sub(r"\{([a-z]+)\}", lambda found: f"(?:{filled[found[1]]})", pattern)


def run(options: ModelOptions, progress: Progress) -> Result:
    """Ask everything of every recording, in one conversation each."""
    if options.data is None:
        raise SystemExit("chat: --data is a folder with questions.jsonl")
    began, key = time.monotonic(), answer_key()
    best = LearnedUnderstanding()
    asked = questions(options.data)[: options.limit]
    cases: list[dict[str, JsonValue]] = []
    with TemporaryDirectory() as folder, understanding.opened(options) as models:
        few = options.limit if options.model_url else None
        ways = understanding.ways(best, models)
        tried = {way.name: [*understanding.graded(way, few)] for way in ways}
        chain = _chain(options.arm, best, models)
        settings = Settings(data_dir=Path(folder), model_use="off")
        ids = [_worked(settings, one) for one in key.recordings]
        task = progress.add_task("chat", total=len(asked) * len(ids))
        with local_chat_service(settings) as desk:
            desk.chain = chain
            for facts, incident_id in zip(key.recordings, ids, strict=True):
                for case in _conversation(desk, incident_id, facts, asked, key):
                    cases.append(case)
                    progress.advance(task)
    return Result(
        suite="chat",
        arm=options.arm,
        version=copilot.__version__,
        data=str(options.data),
        seconds=time.monotonic() - began,
        cases=tuple(cases),
        summary=_shares(cases),
        more={
            f"{language}.{grade}": share
            for language in ("en", "zh")
            for grade, share in _shares([c for c in cases if c["language"] == language]).items()
        }
        | {
            f"paraphrases.{way}.{grade}": share
            for way, graded_ in tried.items()
            for grade, share in understanding.shares(graded_).items()
        },
        tables=(_table(cases, options.arm), understanding.table(tried)),
    )


def _chain(
    arm: EvalArm, best: LearnedUnderstanding, models: Mapping[str, Model]
) -> UnderstandingChain:
    """The rules; in `ml` what is learned beside them, in `llm` a model between the two."""
    if arm == "rules":
        return UnderstandingChain(RuleUnderstanding(), learned=best)
    chain = UnderstandingChain(learned=best)
    return chain.read_by(understanding.reader(next(iter(models.values())))) if models else chain


def _conversation(
    desk: ChatService,
    incident_id: str,
    facts: RecordedFacts,
    asked: Sequence[AskedQuestion],
    key: AnswerKey,
) -> Iterator[dict[str, JsonValue]]:
    conversation = ""
    for place, one in enumerate(asked):
        pattern = key.of(one.right)
        turn = desk.ask(
            Question(text=one.question, conversation_id=conversation, incident_id=incident_id)
        )
        conversation = turn.conversation_id
        text = turn.answer.text if turn.answer is not None else ""
        yield {
            "id": f"{facts.name} {place + 1}",
            "question": one.question,
            "language": language_of(one.question, "en"),
            "grade": graded(one, text, pattern, facts) if pattern is not None else "no key",
            "answer": text,
        }


def _worked(settings: Settings, facts: RecordedFacts) -> str:
    """Deliver the alerts of a recording; where it says so, a person approves and it recovers."""
    approver = "anna" if facts.state == "recovered" else ""
    return work_on(settings, RECORDINGS / "incidents" / facts.name, facts.cause, approver).id


def _shares(cases: Sequence[Mapping[str, JsonValue]]) -> dict[str, float]:
    held = [one for one in cases if one["grade"] in GRADES]
    return {
        grade: sum(one["grade"] == grade for one in held) / max(1, len(held)) for grade in GRADES
    }


def _table(cases: Sequence[Mapping[str, JsonValue]], arm: EvalArm) -> Table:
    rows = []
    for name in ("en", "zh"):
        of = [one for one in cases if one["language"] == name]
        rows.append((arm, name, str(len(of)), *(number(one) for one in _shares(of).values())))
    rows.append((arm, "all", str(len(cases)), *(number(one) for one in _shares(cases).values())))
    return Table(
        title="Chat (measured)", columns=("arm", "language", "answers", *GRADES), rows=tuple(rows)
    )
