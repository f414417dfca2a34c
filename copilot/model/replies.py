"""The shapes a model may answer in, narrowed to what this incident knows."""

from collections.abc import Mapping, Sequence
from typing import get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from copilot.types.incident import FollowUpKind
from copilot.types.model_io import QuestionKind
from tools.types import FaultKind

FAULT_KINDS: tuple[str, ...] = (*get_args(FaultKind), "unknown")
WANTED = 3
"""Most further looks asked for at once."""

MOST_HYPOTHESES = 2
"""Places for causes in a reply: a small model fills all there are, four with copies of one."""

REPLY_TOKENS: Mapping[QuestionKind, int] = {
    "triage": 150,
    "plan": 300,
    "change": 300,
    "narrative": 800,
    "diagnosis": 1_200,
}
"""Most tokens of a reply. Good ones took 130 to 500 (a real 0.5 B model, issue 18); one that says
no end of its sentence is cut here and not at a fifth of the window."""


class ModelReply(BaseModel):
    """A reply: nothing in it that was not asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HypothesisReply(ModelReply):
    """One cause the model holds for likely; evidence by its ids, never by repeating it."""

    supports: tuple[str, ...] = Field(min_length=1, max_length=8)
    contradicts: tuple[str, ...] = Field(max_length=8)
    component: str
    fault_kind: str
    because: str = Field(min_length=1, max_length=400)
    falsified_by: str = Field(max_length=160)
    missing: str = Field(max_length=160)


class FollowUpReply(ModelReply):
    """One more look."""

    kind: FollowUpKind
    component: str


class DiagnosisReply(ModelReply):
    """Causes, most likely first, and the looks that would decide between them.

    `weighed` is what the model says to itself before it names one: decoding keeps the order of the
    fields, and nobody is shown it.
    """

    weighed: str = Field(default="", max_length=400)
    hypotheses: tuple[HypothesisReply, ...] = Field(min_length=1, max_length=4)
    follow_ups: tuple[FollowUpReply, ...] = Field(max_length=WANTED)


class Sentence(ModelReply):
    """One sentence of a narrative and the evidence it rests on."""

    cites: tuple[str, ...] = Field(min_length=1, max_length=6)
    text: str = Field(min_length=1, max_length=300)


class NarrativeReply(ModelReply):
    """What happened, in order."""

    sentences: tuple[Sentence, ...] = Field(min_length=1, max_length=8)


class ParameterReply(ModelReply):
    """One value that the facts lack."""

    name: str = Field(max_length=60)
    value: int | float | str


class PlanReply(ModelReply):
    """A playbook of the list with the values it lacks, or none."""

    cites: tuple[str, ...] = Field(max_length=6)
    reason: str = Field(min_length=1, max_length=240)
    playbook: str
    parameters: tuple[ParameterReply, ...] = Field(max_length=6)


class PairReply(ModelReply):
    """Whether an alert belongs to a group that only time speaks for, and whether it is noise."""

    reason: str = Field(min_length=1, max_length=160)
    verdict: str
    noise: str


def diagnosis_schema(
    components: Sequence[str], ids: Sequence[str], *, may_ask: bool
) -> dict[str, JsonValue]:
    """The schema of `DiagnosisReply` in which only what is known can be named."""
    schema = DiagnosisReply.model_json_schema()
    schema["required"] = ["weighed", *schema["required"]]
    schema["properties"]["hypotheses"]["maxItems"] = MOST_HYPOTHESES
    hypothesis = schema["$defs"]["HypothesisReply"]["properties"]
    hypothesis["component"] = {"enum": list(components)}
    hypothesis["fault_kind"] = {"enum": list(FAULT_KINDS)}
    for name in ("supports", "contradicts"):
        hypothesis[name]["items"] = {"enum": list(ids)}
    wanted = schema["$defs"]["FollowUpReply"]["properties"]
    wanted["component"] = {"enum": ["", *components]}
    if not may_ask:
        schema["properties"]["follow_ups"]["maxItems"] = 0
    return schema


def narrative_schema(ids: Sequence[str]) -> dict[str, JsonValue]:
    """The schema of `NarrativeReply` in which only known evidence can be cited."""
    schema = NarrativeReply.model_json_schema()
    schema["$defs"]["Sentence"]["properties"]["cites"]["items"] = {"enum": list(ids)}
    return schema


def plan_schema(playbooks: Sequence[str], ids: Sequence[str]) -> dict[str, JsonValue]:
    """The schema of `PlanReply` in which only what is offered and shown can be named."""
    schema = PlanReply.model_json_schema()
    schema["properties"]["playbook"] = {"enum": ["", *playbooks]}
    schema["properties"]["cites"]["items"] = {"enum": list(ids)}
    return schema


def pair_schema() -> dict[str, JsonValue]:
    """The schema of `PairReply`."""
    schema = PairReply.model_json_schema()
    schema["properties"]["verdict"] = {"enum": ["merge", "split"]}
    schema["properties"]["noise"] = {"enum": ["yes", "no"]}
    return schema
