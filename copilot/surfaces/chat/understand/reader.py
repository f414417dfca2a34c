"""A model reads a question that no phrase knows: it chooses from the closed list of looks.

The question stands among three of ours, whose meaning is known, in an order of its own. A reply
counts only where it reads at least two of the three rightly: one that always says the same does so
for one at most, one that guesses for both hardly ever. Else, and where no reply comes in time, the
way is silent. It says what to look at, never what is so.
"""

import difflib
import random
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from pydantic import Field, JsonValue

from copilot.model import ReplyCheck, ask
from copilot.model.fence import Fence
from copilot.ports import Model
from copilot.surfaces.chat.understand.entities import entities
from copilot.surfaces.chat.understand.learned import NOTHING, OFFERABLE, ExampleQuestion, examples
from copilot.surfaces.chat.understand.rules import about_its_subject, understood_as
from copilot.surfaces.chat.understand.scene import ChatScene, Entities, Understood, language_of
from copilot.types.model_io import Message, ModelRequest
from prompts import Language, load
from tools.types import FrozenModel

SHOWN = 2
"""Examples of each meaning that a model is shown; the others may be asked of it as a control."""

CONTROLS, RIGHT = 2, 2
"""Questions of known meaning beside the one that was asked, an unrelated one besides; and how many
of these three have to be read rightly."""

MOST_SECONDS = 30.0
"""How long a reading is waited for: 900 tokens read and 100 written take 7 s at the 166 and 78 a
second of SmolLM2 on one core (docs/real-model.md); who waits longer has the rules' offers."""

REPLY_TOKENS = 200
ALIKE = 0.8
"""Likeness of a word of the question to a service's name, from which it is that name misspelt."""


class QuestionReading(FrozenModel):
    """What a model takes one question for."""

    number: int
    means: str = Field(max_length=40)
    service: str = Field(default="", max_length=200)


class ReadingReply(FrozenModel):
    """What it takes all of them for."""

    read: tuple[QuestionReading, ...] = Field(max_length=8)


@cache
def meanings(language: Language) -> dict[str, tuple[ExampleQuestion, ...]]:
    """The closed list: every intent that may answer a question, with its examples."""
    found: dict[str, tuple[ExampleQuestion, ...]] = {}
    for one in examples():
        if one.language == language and one.intent in OFFERABLE:
            found[one.intent] = (*found.get(one.intent, ()), one)
    return found


@cache
def unrelated(language: Language) -> tuple[str, ...]:
    """Examples about no incident."""
    return tuple(o.text for o in examples() if o.language == language and o.intent == NOTHING)


@dataclass(frozen=True, slots=True)
class ReadingSheet:
    """The question among the controls: the rows as they are shown, and what is known of them."""

    rows: tuple[str, ...]
    known: tuple[str, ...]
    place: int

    @classmethod
    def of(cls, question: str, language: Language) -> "ReadingSheet":
        """Draw the controls and the order by the question, so that it is asked alike again."""
        chance = random.Random(zlib.crc32(question.encode()))
        unseen = {name: of[SHOWN:] for name, of in meanings(language).items() if of[SHOWN:]}
        drawn = chance.sample(sorted(unseen), CONTROLS)
        rows = [(chance.choice(unseen[name]).text, name) for name in drawn]
        rows += [(chance.choice(unrelated(language)), NOTHING), (question, "")]
        chance.shuffle(rows)
        known = tuple(name for _, name in rows)
        return cls(tuple(text for text, _ in rows), known, known.index(""))

    def held(self, reply: ReadingReply) -> QuestionReading | None:
        """What is said of the question, where the controls were read."""
        said = {one.number: one for one in reply.read}
        right = sum(
            bool(name) and number in said and said[number].means == name
            for number, name in enumerate(self.known, 1)
        )
        return said.get(self.place + 1) if right >= RIGHT else None


class ModelUnderstanding:
    """Understands by a model; asked where the phrases are silent. `tell`: it is being asked."""

    def __init__(self, model: Model, nonce: str, tell: Callable[[], None] = lambda: None) -> None:
        self._model, self._fence, self._tell = model, Fence(nonce), tell

    def understand(self, question: str, scene: ChatScene) -> Understood | None:
        """Return what the model takes it for, of services that exist; None where it does not."""
        language = language_of(question, scene.language)
        sheet = ReadingSheet.of(question, language)
        self._tell()
        request = self._request(sheet, scene, language)
        asked = ask(self._model, request, ReadingReply, ReplyCheck, language, attempts=1)
        read = sheet.held(asked.value) if asked.value is not None else None
        if read is None or read.means not in meanings(language):
            return None
        named = _with_service(entities(question, scene), read.service, question, scene)
        wanted = about_its_subject((read.means,), named)
        return replace(understood_as(wanted, question, named, scene), arm="llm")

    def _request(self, sheet: ReadingSheet, scene: ChatScene, language: Language) -> ModelRequest:
        shown = [
            f"{name}: {' / '.join(one.text for one in of[:SHOWN])}"
            for name, of in meanings(language).items()
        ]
        line = self._fence.line
        rows = [f"{number}. {line(text, 300)}" for number, text in enumerate(sheet.rows, 1)]
        before = [line(one, 200) for one in reversed(scene.before)]
        system = load("chat_read", language).render(meanings=shown, nothing=NOTHING)
        user = load("chat_read_case", language).render(
            services=", ".join(line(one, 80) for one in scene.services[:60]),
            recent=", ".join(line(one, 80) for one in scene.recent),
            before=self._fence.enclose("conversation", before) if before else "",
            questions=self._fence.enclose("questions", rows),
            number=len(rows),
        )
        messages = (Message(role="system", content=system), Message(role="user", content=user))
        return ModelRequest(
            messages=messages,
            reply_schema=_schema(len(rows), scene.services),
            max_tokens=REPLY_TOKENS,
            priority="chat",
            kind="chat",
            within_s=MOST_SECONDS,
        )


def _schema(questions: int, services: Sequence[str]) -> dict[str, JsonValue]:
    """One reading for each question, of the closed lists alone."""
    fields: dict[str, JsonValue] = {
        "number": {"type": "integer", "minimum": 1, "maximum": questions},
        "service": {"type": "string", "enum": ["", *services[:60]]},
        "means": {"type": "string", "enum": [*meanings("en"), NOTHING]},
    }
    one: JsonValue = {"type": "object", "properties": fields, "required": [*fields]}
    many: JsonValue = {"type": "array", "items": one, "minItems": questions, "maxItems": questions}
    return {"type": "object", "properties": {"read": many}, "required": ["read"]}


def _with_service(named: Entities, said: str, question: str, scene: ChatScene) -> Entities:
    """What the question names itself counts; else a name the model read out of it.

    That is the subject of the turn before, the located component, or a word that was misspelt.
    """
    if named.services or named.asked_for or said not in scene.services:
        return named
    words = re.findall(r"[a-z0-9_.-]{3,}", question.lower())
    spelt = difflib.get_close_matches(said.lower(), words, n=1, cutoff=ALIKE)
    if spelt or said in scene.recent or said == scene.leading:
        return replace(named, services=(said,))
    return named


def taken_for(known: Understood) -> str:
    """What a model took the question for, as a question of ours; empty where it was not asked."""
    if known.arm != "llm" or not known.intents:
        return ""
    return meanings(known.language)[known.intents[0]][0].text
