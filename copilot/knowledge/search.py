"""Search the knowledge base by what somebody sees, and recall it by what the instruments found.

Why these numbers: docs/decisions/retrieval.md.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from copilot.knowledge.dense import DenseIndex
from copilot.knowledge.glossary import whole_words
from copilot.knowledge.lexical import LexicalIndex, Match
from copilot.ports import Reranker, SourceError
from copilot.types.incident import Agreement
from knowledge_base import TRUST_ORDER, Document, Section, Trust, documents
from tools.types import ComponentKind, FaultKind, FrozenModel

FUSION_K = 60
"""Of Cormack, Clarke & Buettcher 2009: how little the first places differ from those below."""


def reciprocal_ranks(rankings: Sequence[tuple[float, Sequence[str]]]) -> list[tuple[str, float]]:
    """Ids with the sum of `weight / (FUSION_K + place)` over the rankings, best first; ties by id.

    >>> [id_ for id_, _ in reciprocal_ranks([(1.0, ["a", "b"]), (1.0, ["b", "c"])])]
    ['b', 'a', 'c']
    """
    scores: dict[str, float] = defaultdict(float)
    for weight, ranking in rankings:
        for place, id_ in enumerate(ranking, 1):
            scores[id_] += weight / (FUSION_K + place)
    return sorted(scores.items(), key=lambda one: (-one[1], one[0]))


ENOUGH_EVIDENCE = 4.5
LEAST_EVIDENCE, MOST_OF_IT = 2.0, 0.6
"""A document answers by its evidence (see `Match`), or by less that is most of a short question."""

STRONG_EVIDENCE, STRONG_COVERAGE = 11.5, 0.4
"""From here on what happened elsewhere is told of an incident where nothing of ours fits.

`python -m evals run knowledge` (Public postmortems): the best one of a line that is about none
reaches 11.3. Symptoms of an incident are long: eight shipped ones reach 12.8, with 0.17 covered.
"""

WORDS, MEANING = 1.0, 0.1
"""Weights of the two rankings: what people paste is full of names, which meaning blurs."""

DEPTH = 20
"""Documents of each ranking that are fused."""

RERANKED = 10
"""First answers that a cross-encoder reads; each costs it as much as an embedding."""

_AGREED: tuple[Agreement, ...] = ("symptoms and cause", "cause", "symptoms")


class DocumentHit(FrozenModel):
    """One document that answers, its best section, and why it was found.

    `score` orders the hits of one answer; it means nothing across questions.
    """

    document: Document
    section: Section
    score: float
    trust: Trust
    reason: str


class Cause(FrozenModel):
    """What was located: the kind of fault, and at which component."""

    fault_kind: FaultKind | None
    component: str = ""
    component_kind: ComponentKind = "unknown"


class RecallHit(FrozenModel):
    """A document recalled for an incident.

    `playbooks` are offered only where the located cause is one the document is about: a fix that
    helped against another cause is no fix. Without that, it is shown for its symptoms alone.
    `elsewhere` marks a public postmortem that ships.
    """

    hit: DocumentHit
    agreement: Agreement
    playbooks: tuple[str, ...] = ()
    elsewhere: bool = False


class Knowledge:
    """The documents with their indexes; answers with hits, or with none where nothing fits.

    With `dense` the two rankings are fused by reciprocal rank. Whether anything fits at all is
    decided by the words: a cosine means something else with every model. Where the vectors cannot
    be had, the words answer alone and `trouble` says why. `why` is what led to this embedder. A
    `reranker` is one more ranking of the first answers, fused alike: it brings nothing in.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        dense: DenseIndex | None = None,
        why: str = "",
        reranker: Reranker | None = None,
    ) -> None:
        self.documents = tuple(documents)
        self.trouble = ""
        self.why = why
        self._by_id = {document.id: document for document in self.documents}
        self._lexical = LexicalIndex(self.documents)
        self._dense = dense
        self._reranker = reranker

    @property
    def in_force(self) -> str:
        """A plain statement of how it searches."""
        after = f"; put in order by {self._reranker.model}" if self._reranker else ""
        if self._dense is None:
            return f"words only: {self.why or 'no embedder is in force'}{after}"
        if self.trouble:
            return f"words only: {self.trouble}{after}"
        return f"words and meaning, by {self._dense.embedder.model} ({self.why}){after}"

    def search(self, question: str, limit: int = 5) -> tuple[DocumentHit, ...]:
        """The documents that answer a question, best first; empty where none does."""
        return tuple(map(self._hit, self._best(question, self._lexical.match(question), limit)))

    def _best(self, question: str, matches: list[Match], limit: int) -> list[Match]:
        if not any(map(_answers, matches[:limit])):
            return []
        return self._reranked(question, self._fused(question, matches))[:limit]

    def _fused(self, question: str, matches: list[Match]) -> list[Match]:
        if self._dense is None:
            return matches
        try:
            near = self._dense.match(question, DEPTH)
        except SourceError as error:
            self.trouble = str(error)
            return matches
        if not near:
            return matches
        by_words = {match.document.id: match for match in matches}
        ranks = [(WORDS, [match.document.id for match in matches[:DEPTH]])]
        ranks.append((MEANING, [id_ for id_, _ in near if id_ in self._by_id]))
        scores = reciprocal_ranks(ranks)
        return [
            replace(by_words.get(id_) or _unmatched(self._by_id[id_]), score=score)
            for id_, score in scores
        ]

    def _reranked(self, question: str, matches: list[Match]) -> list[Match]:
        first, rest = matches[:RERANKED], matches[RERANKED:]
        if self._reranker is None or len(first) < 2:
            return matches
        scores = self._reranker.scores(question, [self._read(match) for match in first])
        order = sorted(range(len(first)), key=lambda place: -scores[place])
        before = (WORDS, [match.document.id for match in first])
        after = (MEANING, [first[place].document.id for place in order])
        by_id = {match.document.id: match for match in first}
        fused = reciprocal_ranks([before, after])
        return [*(replace(by_id[id_], score=score) for id_, score in fused), *rest]

    def _read(self, match: Match) -> str:
        """What a cross-encoder is shown of a document: its title and the section that fits."""
        section = self._lexical.passage(match.document, match.words)
        return f"{match.document.title.en}. {section.heading}. {section.text}"

    def recall(self, symptoms: str, cause: Cause, limit: int = 5) -> tuple[RecallHit, ...]:
        """What is known of such symptoms and of this cause.

        First what fits both, then the cause alone, then the symptoms alone; within each the more
        trusted first, our own component before others, then by score. What happened elsewhere is
        told only where no runbook or incident of ours fits, and where its fit is strong.
        """
        shared = self._lexical.match(symptoms)
        matches = {match.document.id: match for match in shared}
        likely = {match.document.id for match in self._best(symptoms, shared, limit)}
        found = []
        for document in self.documents:
            agrees = _agrees(document, cause)
            if not agrees and document.id not in likely:
                continue
            seen = matches.get(document.id) or _unmatched(document)
            found.append(self._recalled(seen, agrees, document.id in likely, cause))
        ordered = sorted(found, key=lambda one: _order(one, cause))
        ours = [one for one in ordered if not one.elsewhere]
        strong = {id_ for id_, match in matches.items() if fits_strongly(match)}
        return tuple((ours or [one for one in ordered if one.hit.document.id in strong])[:limit])

    def _recalled(self, match: Match, agrees: bool, likely: bool, cause: Cause) -> RecallHit:
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
        return RecallHit(
            hit=hit.model_copy(update={"reason": reason}),
            agreement=agreement,
            playbooks=match.document.playbooks if agrees else (),
            elsewhere=from_elsewhere(match.document),
        )

    def _hit(self, match: Match) -> DocumentHit:
        said = ", ".join(whole_words(match.matched, match.pieces)[:8])
        return DocumentHit(
            document=match.document,
            section=self._lexical.passage(match.document, match.words),
            score=match.score,
            trust=match.document.trust,
            reason=f"matched on {said}" if said else _why_without_words(match),
        )


def fits_strongly(match: Match) -> bool:
    """Whether a public postmortem fits well enough to be named beside an incident."""
    return match.evidence >= STRONG_EVIDENCE and match.coverage >= STRONG_COVERAGE


def from_elsewhere(document: Document) -> bool:
    """Whether this happened to others: a postmortem as it ships, and none that was added here."""
    return document.kind == "postmortem" and document in documents()


def _answers(match: Match) -> bool:
    short = match.evidence >= LEAST_EVIDENCE and match.coverage >= MOST_OF_IT
    return short or match.evidence >= ENOUGH_EVIDENCE


def _why_without_words(match: Match) -> str:
    return "its text is like the question" if match.matched else "shares no word with the question"


def _unmatched(document: Document) -> Match:
    return Match(document, 0.0, 0.0, 0.0, ())


def _agrees(document: Document, cause: Cause) -> bool:
    """Whether the document is about this cause at this kind of component, or at any."""
    if cause.fault_kind is None or cause.fault_kind not in document.fault_kinds:
        return False
    kind = cause.component_kind
    return kind == "unknown" or not document.components or kind in document.components


def _order(one: RecallHit, cause: Cause) -> tuple[int, bool, bool, int, float, str]:
    document = one.hit.document
    return (
        _AGREED.index(one.agreement),
        cause.component not in document.services,
        cause.fault_kind != document.fault_kinds[0],
        TRUST_ORDER.index(document.trust),
        -one.hit.score,
        document.id,
    )
