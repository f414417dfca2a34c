"""A question fits the window of the model, whatever there is to show; what is left out is said."""

import time
from pathlib import Path

import pytest

from copilot.case.reasoning.case import fault_kinds
from copilot.model.fence import Fence
from copilot.model.ollama import Client
from copilot.model.served import Endpoint, ServedModel
from copilot.model.server import ModelAddress, ServingOptions, Timeouts
from copilot.model.table import by_use, fitted
from copilot.testing.ollama import ollama_server
from copilot.testing.policies import (
    GoodPolicy,
    LyingPolicy,
    PolicyFunction,
    PolicyModel,
    ServedPolicy,
)
from copilot.types.breaker import Breaker
from prompts import LANGUAGES, Language, load
from tests.copilot.reasoning_case import RANKING, desk, diagnosed, item, state
from tools.types import Evidence

MANY = (
    item(1, "cart", "cart latency rose to 1.9 s, normally 0.1 s.", value=1.9, baseline=0.1),
    item(2, "cart", "cart pool rose to 100%, normally 33%.", value=100.0, baseline=33.0),
    item(3, "web", "web errors rose to 12%, normally 0.1%.", value=12.0, baseline=0.1),
    *(
        item(
            number,
            f"service-{number % 40}",
            f'service-{number % 40} 记录了 "<*> {number:064x} 失败" 于 12:20:{number % 60:02}.',
            kind="log",
        )
        for number in range(4, 399)
    ),
    item(399, "web", "web: deploy from v1 to v2 60 s before the onset.", kind="change"),
    item(400, "web->cart", "web->cart latency rose to 2.1 s.", kind="edge"),
)


@pytest.mark.parametrize("say", [GoodPolicy(), LyingPolicy()], ids=["holds", "is repaired"])
@pytest.mark.parametrize("context", [8_192, 16_384])
def test_nothing_is_cut_by_the_server(context: int, say: PolicyFunction, tmp_path: Path) -> None:
    with ollama_server(ServedPolicy(say), obeys_truncate=False) as server:
        client = Client(ModelAddress(server.url), Timeouts())
        at = Endpoint(client, Breaker(time.monotonic))
        model = ServedModel("qwen3:30b", [at], ServingOptions(context=context), Timeouts())
        with desk(tmp_path, model) as deps:
            _, incident = diagnosed(deps, state(MANY))
        client.close()
        sent = [body["messages"] for body in server.chats()]
        seen = [[one.model_dump(exclude_unset=True) for one in r.messages] for r in server.seen]
    assert incident.opinion is not None
    assert not incident.opinion.failed
    assert len(sent) >= 2
    assert seen == sent, "the server dropped messages to make room"


def test_the_prompt_says_how_many_were_left_out(tmp_path: Path) -> None:
    model = PolicyModel(GoodPolicy(), context_tokens=8_192)
    with desk(tmp_path, model) as deps:
        diagnosed(deps, state(MANY))
    shown = model.requests[0].messages[1].content
    rows = [line for line in shown.splitlines() if line.startswith("E") and " | " in line]
    assert 20 < len(rows) < 400
    assert f"{400 - len(rows)} weaker items were left out" in shown
    assert len(model.requests[0].messages) == 2
    assert {row.split(" | ")[0] for row in rows} >= {"E1", "E2", "E3", "E399", "E400"}


def test_a_window_too_small_for_any_question_is_not_asked(tmp_path: Path) -> None:
    model = PolicyModel(GoodPolicy(), context_tokens=2_048)
    with desk(tmp_path, model) as deps:
        _, incident = diagnosed(deps, state(MANY))
    assert model.requests == []
    assert "its context window is too small" in incident.brief["en"]


def test_the_least_useful_go_first() -> None:
    note = item(9, "web", "web cpu: median 3 after the onset.", kind="note", strength=0.0)
    logs = [item(n, "db", f"db logged {n}.", kind="log", strength=50.0) for n in range(20, 60)]
    metric = item(5, "db", "db cpu rose.", strength=0.1)
    evidence: list[Evidence] = [*MANY[:3], *logs, metric, note]
    used = [one.id for one in by_use(evidence, RANKING)]
    assert used[0] == "E9"
    assert set(used[1:4]) == {"E1", "E2", "E3"}
    assert used.index("E5") < used.index("E30"), "one of each kind before many of one"


def test_rows_are_whole_or_absent() -> None:
    table = fitted(MANY, RANKING, Fence("f00d"), len, 1_000)
    assert sum(len(row) + 1 for row in table.rows) <= 1_000
    assert table.left_out == 400 - len(table.rows)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_instructions_are_short(language: Language) -> None:
    tokens = PolicyModel(GoodPolicy()).tokens
    assert tokens(load("diagnose", language).render(kinds=fault_kinds(language))) <= 4_000
