"""Search the knowledge base by what somebody sees, and recall it by what the instruments found."""

from collections.abc import Sequence
from typing import Literal

from copilot.retrieval.lexical import LexicalIndex, Match
from knowledge_base import TRUST_ORDER, Document, Section, Trust
from tools.types import ComponentKind, FaultKind, Frozen

ENOUGH_EVIDENCE = 4.5
LEAST_EVIDENCE, MOST_OF_IT = 2.0, 0.6
"""A document answers by its evidence (see `Match`), or by less that is most of a short question."""

Agreement = Literal["symptoms and cause", "cause", "symptoms"]
_AGREED: tuple[Agreement, ...] = ("symptoms and cause", "cause", "symptoms")


class Hit(Frozen):
    """One document that answers, its best section, and why it was found.

    `score` orders the hits of one answer; it means nothing across questions.
    """

    document: Document
    section: Section
    score: float
    trust: Trust
    reason: str


class Cause(Frozen):
    """What was located: the kind of fault, and at which component."""

    fault_kind: FaultKind | None
    component: str = ""
    component_kind: ComponentKind = "unknown"


class Recalled(Frozen):
    """A document recalled for an incident.

    `playbooks` are offered only where the located cause is one the document is about: a fix that
    helped against another cause is no fix. Without that, it is shown for its symptoms alone.
    """

    hit: Hit
    agreement: Agreement
    playbooks: tuple[str, ...] = ()


class Knowledge:
    """The documents with their index; answers with hits, or with none where nothing fits."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self.documents = tuple(documents)
        self._lexical = LexicalIndex(self.documents)

    def search(self, question: str, limit: int = 5) -> tuple[Hit, ...]:
        """The documents that answer a question, best first; empty where none does."""
        matches = self._lexical.match(question)
        if not any(map(_answers, matches[:limit])):
            return ()
        return tuple(map(self._hit, matches[:limit]))

    def recall(self, symptoms: str, cause: Cause, limit: int = 5) -> tuple[Recalled, ...]:
        """What is known of such symptoms and of this cause.

        First what fits both, then the cause alone, then the symptoms alone; within each the more
        trusted first, our own component before others, then by score.
        """
        matches = {match.document.id: match for match in self._lexical.match(symptoms)}
        likely = {hit.document.id for hit in self.search(symptoms, limit)}
        found = []
        for document in self.documents:
            agrees = _agrees(document, cause)
            if not agrees and document.id not in likely:
                continue
            seen = matches.get(document.id) or Match(document, 0.0, 0.0, 0.0, ())
            found.append(self._recalled(seen, agrees, document.id in likely, cause))
        return tuple(sorted(found, key=lambda one: _order(one, cause))[:limit])

    def _recalled(self, match: Match, agrees: bool, likely: bool, cause: Cause) -> Recalled:
        agreement: Agreement = "symptoms"
        if agrees:
            agreement = "symptoms and cause" if likely else "cause"
        hit = self._hit(match)
        located = cause.fault_kind or "not located"
        if agrees:
            reason = f"about the located cause, {located}; {hit.reason}"
        else:
            about = ", ".join(match.document.fault_kinds)
            reason = f"like symptoms, but about {about}; the located cause is {located}: no fix"
        return Recalled(
            hit=hit.model_copy(update={"reason": reason}),
            agreement=agreement,
            playbooks=match.document.playbooks if agrees else (),
        )

    def _hit(self, match: Match) -> Hit:
        said = ", ".join(match.words[:8])
        return Hit(
            document=match.document,
            section=self._lexical.passage(match.document, match.words),
            score=match.score,
            trust=match.document.trust,
            reason=f"matches {said}" if said else "matches no word of the symptoms",
        )


def _answers(match: Match) -> bool:
    short = match.evidence >= LEAST_EVIDENCE and match.coverage >= MOST_OF_IT
    return short or match.evidence >= ENOUGH_EVIDENCE


def _agrees(document: Document, cause: Cause) -> bool:
    """Whether the document is about this cause at this kind of component, or at any."""
    if cause.fault_kind is None or cause.fault_kind not in document.fault_kinds:
        return False
    kind = cause.component_kind
    return kind == "unknown" or not document.components or kind in document.components


def _order(one: Recalled, cause: Cause) -> tuple[int, bool, bool, int, float, str]:
    document = one.hit.document
    return (
        _AGREED.index(one.agreement),
        cause.component not in document.services,
        cause.fault_kind != document.fault_kinds[0],
        TRUST_ORDER.index(document.trust),
        -one.hit.score,
        document.id,
    )
