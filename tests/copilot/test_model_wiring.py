"""The model as an operator sees it: found, away, back again, told by doctor and /metrics."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from copilot import settings, wiring
from copilot.model import MeteredModel
from copilot.model.probe import speed_checks
from copilot.ports import ModelError
from copilot.settings import SettingsError
from copilot.surfaces.cli import app
from copilot.surfaces.service import create_app
from copilot.testing.model import ScriptedModel
from copilot.testing.ollama import EMBEDS, OllamaServer, PulledModel, ScriptedPolicy, ollama_server
from copilot.testing.openai import openai_server
from copilot.testing.service import CountedEngine
from copilot.types.model_io import Message, ModelRequest, ReplyEnd

NOWHERE = "http://127.0.0.1:9"
REQUEST = ModelRequest(messages=(Message(role="user", content="who?"),))


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server(ScriptedPolicy("payment")) as running:
        yield running


def doctor(url: str, **more: str) -> tuple[int, str]:
    env = {"COPILOT_MODEL_USE": "auto", "COPILOT_MODEL_URL": url, "COLUMNS": "200", "TERM": "dumb"}
    shown = CliRunner().invoke(app, ["doctor"], env={**env, **more})
    return shown.exit_code, shown.output


def fault(model: MeteredModel | None) -> str:
    assert model is not None
    with pytest.raises(ModelError) as raised:
        list(model.stream(REQUEST))
    return raised.value.fault


def test_a_model_that_is_there_is_used_and_loaded_once_for_a_service(server: OllamaServer) -> None:
    loaded = settings.load(model_url=server.url, model_use="auto", model_context=4096)
    with wiring.model(loaded, lasting=True) as (model, how):
        assert model is not None
        list(model.stream(REQUEST))
        assert server.wait_for(lambda one: len(one.chats()) == 2)
    assert how == f"qwen3:30b at {server.url}"
    assert server.runners.loads == [("qwen3:30b", 4096)]


def test_off_asks_nobody(server: OllamaServer) -> None:
    with wiring.model(settings.load(model_url=server.url, model_use="off")) as (model, how):
        assert (model, how) == (None, "switched off by COPILOT_MODEL_USE")
    assert server.recorded == []


def test_without_a_server_a_command_goes_without_and_is_not_slowed_down() -> None:
    loaded = settings.load(model_url=NOWHERE, model_use="auto")
    with wiring.model(loaded) as (model, how):
        assert model is None
    assert how.startswith(f"nothing answers at {NOWHERE}")


def test_a_model_that_was_not_pulled_is_named_with_what_to_run(server: OllamaServer) -> None:
    loaded = settings.load(model_url=server.url, model_use="auto", model="qwen3:8b")
    with wiring.model(loaded) as (model, how):
        assert model is None
    assert how.endswith("there: ollama pull qwen3:8b")


def test_a_service_keeps_a_model_that_is_away_and_one_that_is_on_is_not_given_up() -> None:
    away = settings.load(model_url=NOWHERE, model_use="auto")
    with wiring.model(away, lasting=True) as (model, _):
        assert fault(model) == "absent"
    with wiring.model(settings.load(model_url=NOWHERE, model_use="on")) as (model, _):
        assert fault(model) == "open"


def test_the_engine_gives_its_nodes_the_model(server: OllamaServer, tmp_path: Path) -> None:
    loaded = settings.load(data_dir=tmp_path, model_url=server.url, model_use="auto")
    with wiring.engine(loaded, "test") as engine:
        assert engine.deps.model is not None
        list(engine.deps.model.stream(REQUEST))
        assert engine.usage is not None
        assert engine.usage.outcomes == {"stop": 1}


def test_a_server_that_accepts_and_is_silent_does_not_hold_the_start_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with wiring.model(settings.load(model_use="auto", model_url=url)) as (model, how):
            assert model is None
    assert how == "did not say in time which models it has"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("model_url", "127.0.0.1:11434", "addresses like http://127.0.0.1:11434"),
        ("model_url", "http://a:1,", "addresses like"),
        ("model_ca_file", Path("/nowhere.pem"), "is no file"),
    ],
)
def test_a_wrong_address_is_the_operator_s_to_mend(key: str, value: Any, told: str) -> None:
    wrong = settings.load(model_use="on", **{key: value})
    with pytest.raises(SettingsError, match=told), wiring.model(wrong):
        pass


@pytest.mark.parametrize("value", ["forever", "10 minutes", ""])
def test_a_wrong_keep_alive_is_refused(value: str) -> None:
    with pytest.raises(SettingsError, match="model_keep_alive"):
        settings.load(model_keep_alive=value)


# --- doctor --------------------------------------------------------------------------------------


def test_doctor_says_what_the_model_is(server: OllamaServer) -> None:
    code, shown = doctor(server.url)
    assert code == 0
    assert f"Ollama 0.32.14 at {server.url}" in shown
    assert "qwen3:30b 30.5B, can do: completion, tools, thinking" in shown
    assert "ollama pull qwen3:30b-instruct" in shown
    assert "16384 of 262144 tokens" in shown
    assert "not loaded" in shown


def test_doctor_says_what_to_run_where_the_model_is_missing(server: OllamaServer) -> None:
    code, shown = doctor(server.url, COPILOT_MODEL="qwen3:8b")
    assert code == 0
    assert "run: ollama pull qwen3:8b" in shown
    assert "qwen3-embedding:0.6b, qwen3:30b" in shown


def test_an_absent_server_is_a_choice_with_auto_and_broken_with_on() -> None:
    assert doctor(NOWHERE)[0] == 0
    code, shown = doctor(NOWHERE, COPILOT_MODEL_USE="on")
    assert code == 1
    assert "ollama serve, then ollama pull qwen3.8:27b" in shown


def test_doctor_sees_a_context_that_others_loaded(server: OllamaServer) -> None:
    loaded = settings.load(model_url=server.url, model_use="on", model_context=4096)
    with wiring.model(loaded) as (model, _):
        assert model is not None
        list(model.stream(REQUEST))
    _, shown = doctor(server.url)
    assert "loaded with ctx 4096 < required 16384" in shown
    assert "OLLAMA_CONTEXT_LENGTH=16384" in shown


def test_doctor_sees_what_a_model_cannot() -> None:
    small = PulledModel(capabilities=("completion",), context=8192)
    with ollama_server(ScriptedPolicy("ok"), (small, EMBEDS), version="0.11.4") as server:
        shared = {"COPILOT_MODEL_THINK": "true", "COPILOT_EMBEDDER_URL": server.url}
        code, shown = doctor(server.url, **shared)
    assert code == 1
    assert "it cannot think: COPILOT_MODEL_THINK=auto" in shown
    assert "the model allows 8192 tokens, 16384 are set" in shown
    assert "update it" in shown
    assert "OLLAMA_MAX_LOADED_MODELS" in shown


def test_doctor_asks_once_and_says_what_to_set() -> None:
    fits = '{"reason": "900 ms is ten times 90 ms", "slower": "checkout"}'
    with ollama_server(ScriptedPolicy(fits)) as server:
        code, shown = doctor(server.url)
        assert (code, len(server.chats())) == (0, 2)
    assert "auto took qwen3:30b" in shown
    assert "schema      kept to, without thinking" in shown
    assert "tokens a second" in shown
    with ollama_server(ScriptedPolicy("Checkout did.")) as server:
        _, shown = doctor(server.url)
    assert "not kept to, without thinking: 'Checkout did.'" in shown
    assert "COPILOT_MODEL_THINK=true" in shown


def test_doctor_says_how_many_seconds_a_slow_model_needs() -> None:
    end = ReplyEnd(
        reason="stop", model="m", prompt_tokens=200, reply_tokens=50, first_token_s=2, total_s=7
    )
    (told,) = speed_checks(end, budget_s=300)
    assert told.state == "ok"
    (told,) = speed_checks(end, budget_s=60)
    assert "COPILOT_MODEL_S=280 (60 now)" in told.advice


@pytest.mark.parametrize("takes_extras", [True, False])
def test_doctor_looks_at_a_server_of_openai_s_api(takes_extras: bool) -> None:
    fits = '{"reason": "900 ms is ten times 90 ms", "slower": "checkout"}'
    with openai_server(ScriptedPolicy(fits), takes_extras=takes_extras) as server:
        code, shown = doctor(server.url)
    assert code == 0
    assert f"OpenAI's API at {server.url}, models of vllm" in shown
    assert "16384 of 32768 tokens" in shown
    assert "tool calls  called" in shown


def test_a_server_of_openai_s_api_at_the_wrong_address_is_told_how_to_be_named() -> None:
    with openai_server(ScriptedPolicy("ok")) as server:
        assert "ends in /v1" in doctor(server.url.removesuffix("/v1"))[1]


def test_doctor_says_that_it_is_switched_off() -> None:
    assert "switched off by COPILOT_MODEL_USE" in doctor(NOWHERE, COPILOT_MODEL_USE="off")[1]


# --- counters ------------------------------------------------------------------------------------


def test_metrics_count_replies_faults_and_what_was_cancelled(tmp_path: Path) -> None:
    model = MeteredModel(ScriptedModel(["one", "two words", ModelError("timeout", "slow")]))
    list(model.stream(REQUEST))
    cancelled = model.stream(REQUEST)
    next(cancelled)
    cancelled.close()  # type: ignore[attr-defined]
    for _ in range(2):
        fault(model)
    loaded = settings.load(data_dir=tmp_path)
    with wiring.store(loaded) as store:
        app_ = create_app(CountedEngine(store, usage=model.usage), loaded)
        text = TestClient(app_, base_url="http://127.0.0.1").get("/metrics").text
    for row in (
        'copilot_llm_requests_total{outcome="stop"} 1.0',
        'copilot_llm_requests_total{outcome="cancelled"} 1.0',
        'copilot_llm_requests_total{outcome="timeout"} 1.0',
        'copilot_llm_requests_total{outcome="unreachable"} 1.0',
        'copilot_llm_tokens_total{kind="reply"} 3.0',
        "copilot_llm_reply_seconds_count 1.0",
        'copilot_llm_info{model="scripted"} 1.0',
    ):
        assert row in text
