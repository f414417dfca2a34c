"""The shapes a model may answer in, narrowed to what this incident knows."""

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from copilot.types.incident import FollowUpKind
from tools.types import FaultKind

FAULT_KINDS: tuple[str, ...] = (*get_args(FaultKind), "unknown")
WANTED = 3
"""Most further looks asked for at once."""


class ModelReply(BaseModel):
    """A reply: nothing in it that was not asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class HypothesisReply(ModelReply):
    """One cause the model holds for likely; evidence by its ids, never by repeating it."""

    component: str
    fault_kind: str
    because: str = Field(min_length=1, max_length=600)
    supports: tuple[str, ...] = Field(min_length=1, max_length=8)
    contradicts: tuple[str, ...] = Field(max_length=8)
    falsified_by: str = Field(max_length=240)
    missing: str = Field(max_length=240)


class FollowUpReply(ModelReply):
    """One more look."""

    kind: FollowUpKind
    component: str


class DiagnosisReply(ModelReply):
    """Causes, most likely first, and the looks that would decide between them."""

    hypotheses: tuple[HypothesisReply, ...] = Field(min_length=1, max_length=4)
    follow_ups: tuple[FollowUpReply, ...] = Field(max_length=WANTED)


class Sentence(ModelReply):
    """One sentence of a narrative and the evidence it rests on."""

    text: str = Field(min_length=1, max_length=400)
    cites: tuple[str, ...] = Field(min_length=1, max_length=6)


class NarrativeReply(ModelReply):
    """What happened, in order."""

    sentences: tuple[Sentence, ...] = Field(min_length=1, max_length=8)


class ParameterReply(ModelReply):
    """One value that the facts lack."""

    name: str = Field(max_length=60)
    value: int | float | str


class PlanReply(ModelReply):
    """A playbook of the list with the values it lacks, or none."""

    playbook: str
    parameters: tuple[ParameterReply, ...] = Field(max_length=6)
    cites: tuple[str, ...] = Field(max_length=6)
    reason: str = Field(min_length=1, max_length=300)


class PairReply(ModelReply):
    """Whether an alert belongs to a group that only time speaks for, and whether it is noise."""

    verdict: str
    noise: str
    reason: str = Field(min_length=1, max_length=200)


def diagnosis_schema(
    components: Sequence[str], ids: Sequence[str], *, may_ask: bool
) -> dict[str, JsonValue]:
    """The schema of `DiagnosisReply` in which only what is known can be named."""
    schema = _bare(DiagnosisReply)
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
    schema = _bare(NarrativeReply)
    schema["$defs"]["Sentence"]["properties"]["cites"]["items"] = {"enum": list(ids)}
    return schema


def plan_schema(playbooks: Sequence[str], ids: Sequence[str]) -> dict[str, JsonValue]:
    """The schema of `PlanReply` in which only what is offered and shown can be named."""
    schema = _bare(PlanReply)
    schema["properties"]["playbook"] = {"enum": ["", *playbooks]}
    schema["properties"]["cites"]["items"] = {"enum": list(ids)}
    return schema


def pair_schema() -> dict[str, JsonValue]:
    """The schema of `PairReply`."""
    schema = _bare(PairReply)
    schema["properties"]["verdict"] = {"enum": ["merge", "split"]}
    schema["properties"]["noise"] = {"enum": ["yes", "no"]}
    return schema


def _bare(shape: type[ModelReply]) -> dict[str, Any]:
    """Without lengths of text: a grammar made of them is too large for the server to take."""
    schema = shape.model_json_schema()
    for part in (schema, *schema.get("$defs", {}).values()):
        for field in part["properties"].values():
            field.pop("maxLength", None)
    return schema
