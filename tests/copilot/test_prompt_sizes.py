"""What each question to a model costs before a word of evidence, and on one made-up incident.

`python -m pytest -q -s tests/copilot/test_prompt_sizes.py` prints the table.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from langgraph.runtime import Runtime

from copilot.case.nodes.report import report
from copilot.case.reasoning.proposing import propose
from copilot.model.estimates import estimated
from copilot.model.tie_break import RecordingTieBreaker
from copilot.testing.policies import PolicyModel, ReplySchema
from copilot.types.model_io import ModelRequest
from knowledge_base import playbooks
from prompts import LANGUAGES, Language
from tests.copilot.reasoning_case import desk, diagnosed, state
from tests.copilot.test_diagnose import DOUBT, hypothesis, reply
from tests.tools.test_playbook_proposal import EVIDENCE as FEATURE_EVIDENCE
from tests.tools.test_playbook_proposal import located

MOST = {
    "triage": (650, 250),
    "diagnosis": (2_100, 1_300),
    "plan": (1_100, 1_200),
    "narrative": (900, 450),
}
"""Estimated tokens of the constant part, which a server may keep, and of the rest: a fifth more
than they are."""


def questions(folder: Path, language: Language) -> dict[str, ModelRequest]:
    """One question of each kind about the same incident."""

    def say(_texts: Sequence[str], schema: ReplySchema) -> str:
        return reply(hypothesis()) if "hypotheses" in json.dumps(schema) else "{}"

    model, doubts = PolicyModel(say), RecordingTieBreaker()
    doubts.judge(DOUBT)
    with desk(folder, model, remember=True) as deps:
        ready = replace(deps, doubts=doubts, language=language, arm="llm", playbooks=playbooks())
        diagnosed(ready)
        propose(ready, state(FEATURE_EVIDENCE, located()), {})
        report(state(), Runtime(context=ready))
    found: dict[str, ModelRequest] = {}
    for one in model.requests:
        found.setdefault(one.kind, one)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_question_costs_no_more_than_it_should(language: Language, tmp_path: Path) -> None:
    asked = questions(tmp_path, language)
    assert asked.keys() == MOST.keys()
    for kind, request in asked.items():
        fixed, rest = (estimated(message.content) for message in request.messages)
        sys.stdout.write(f"\n{language} {kind:<10} {fixed:>6} constant {rest:>6} on the example")
        assert (fixed <= MOST[kind][0], rest <= MOST[kind][1]) == (True, True), kind
