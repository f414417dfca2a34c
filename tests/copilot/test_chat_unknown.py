"""What the chat does not know it does not say: not measured is not well, not decided no cause."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import copilot
from copilot.deps import Deps
from copilot.hands import DryRunRunner
from copilot.sources.deployment import Sources
from copilot.store import Store
from copilot.surfaces.chat.report import in_words
from copilot.surfaces.chat.scope import ToolContext
from copilot.surfaces.chat.tool_result import ToolResult
from copilot.surfaces.chat.tools.certainty import gaps, restarts, sureness
from copilot.surfaces.chat.tools.people import paging
from copilot.surfaces.chat.tools.tool import ServiceArguments, ToolArguments
from copilot.types.incident import Incident
from tools.types import Candidate, Certainty, Ranking, Term

NOW = 1_767_225_700.0


class Standing:
    def now(self) -> float:
        return NOW

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nothing waits {seconds} s here")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    one.create()
    yield one
    one.close()


def scope(store: Store, certainty: Certainty, *, calibrated: bool = False) -> ToolContext:
    """An incident with one suspect, and no source that measures anything."""
    term = Term(name="metrics", weight=1.0, evidence=())
    first = Candidate(component="cart", score=1.0, fault_kind="errors", terms=(term,))
    ranking = Ranking(certainty=certainty, candidates=(first,), calibrated=calibrated)
    about = Incident(id="inc-1", title="t", opened_at=NOW, updated_at=NOW, ranking=ranking)
    return ToolContext(Deps(store, Sources(), Standing(), DryRunRunner(Standing()), ()), about)


def said(result: ToolResult) -> str:
    return " ".join((*(one.en for one in result.statements), *result.missing))


def test_a_cause_that_is_decided_is_paged_for(store: Store) -> None:
    assert "Yes, page for cart" in said(paging(ServiceArguments(), scope(store, "likely")))


@pytest.mark.parametrize("certainty", ["ambiguous", "insufficient"])
def test_nobody_is_woken_for_a_cause_that_is_not_decided(
    store: Store, certainty: Certainty
) -> None:
    about = scope(store, certainty)
    assert said(paging(ServiceArguments(), about)) == "cause: no component stands out yet"
    assert "Yes" not in said(paging(ServiceArguments(service="cart"), about))


def test_a_service_without_series_is_not_called_well(store: Store) -> None:
    told = said(paging(ServiceArguments(service="search"), scope(store, "likely")))
    assert "search: not known, none of its series is measured" in told
    assert "feel nothing" not in told


@pytest.mark.parametrize("calibrated", [True, False])
def test_the_chance_is_called_calibrated_only_where_it_is(store: Store, calibrated: bool) -> None:
    told = said(sureness(ToolArguments(), scope(store, "likely", calibrated=calibrated)))
    assert ("The chance is calibrated" in told) is calibrated


def test_without_a_call_graph_not_every_component_has_metrics(store: Store) -> None:
    told = said(gaps(ToolArguments(), scope(store, "likely")))
    assert "there is no call graph" in told
    assert "Every known component" not in told


def test_no_restart_is_ruled_out_where_none_is_counted(store: Store) -> None:
    told = said(restarts(ServiceArguments(service="cart"), scope(store, "likely")))
    assert "Not known: no restart counter or number of instances tells of cart." in told


def _absences() -> Iterator[str]:
    """What the looks say they do not know: the texts that they put into `missing`."""
    for path in (Path(copilot.__file__).parent / "surfaces/chat").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "missing":
                yield from filter(None, map(_text, ast.walk(node.value)))


def _text(node: ast.AST) -> str:
    """A text as it is written, 7 for what stands in its holes."""
    if isinstance(node, ast.JoinedStr):
        parts = [one.value if isinstance(one, ast.Constant) else "7" for one in node.values]
        return "".join(map(str, parts))
    whole = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return str(node.value) if isinstance(node, ast.Constant) and whole else ""


def test_what_is_not_known_is_said_in_the_language_of_the_question() -> None:
    told = {one for one in _absences() if re.match(r"[a-z7 ]+: .*\w$|.*[)”]$", one)}
    assert len(told) >= 12
    chinese = {one: in_words(one, "zh") for one in told if "is no tool" not in one}
    english = re.compile(r"[a-z]+(?: [a-z]+){2,}")
    assert {one: said for one, said in chinese.items() if english.search(said)} == {}
