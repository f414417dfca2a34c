"""llama.cpp behind the server: its answers in Ollama's protocol; where asked for, a real model.

The runtime here is a stand-in of a few lines with llama.cpp's HTTP, so that its ends are exact.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from copilot.testing.ollama import OllamaServer, ollama_server
from copilot.testing.ollama.gguf import CACHE, LLAMA_CPP, SMALLEST, PinnedWheel, gguf_server
from copilot.testing.ollama.llama import LlamaEngine, LlamaError
from evals.real_model import compared

FETCHED = CACHE.expanduser()
"""Of the one who runs the tests: each test has a home of its own."""

RUNTIME = """
import json, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

class CommonParams(SimpleNamespace):
    def __init__(self):
        super().__init__(model=SimpleNamespace(path=""), cpuparams=SimpleNamespace(),
                         cpuparams_batch=SimpleNamespace(), n_ctx=0, api_keys=[])

class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def tell(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status); self.send_header("Content-Length", str(len(body)))
        self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        meta = {"n_ctx_train": 8192, "n_params": 135_000_000, "ftype": "Q4_1"}
        self.tell(200, {"data": [{"meta": meta}], "chat_template": "plain"})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = asked["messages"][-1]["content"]
        if self.headers["Authorization"] != "Bearer " + self.server.key:
            return self.tell(401, {"error": {"message": "no key"}})
        if self.path.endswith("input_tokens"):
            return self.tell(200, {"input_tokens": len(said.split())})
        if said == "refuse":
            return self.tell(400, {"error": {"message": "failed to parse grammar"}})
        self.send_response(200); self.end_headers()
        words = [json.dumps(asked.get("response_format")), f"ctx={self.server.context}", "end"]
        for word in words[: asked.get("max_tokens", 3)]:
            self.event({"choices": [{"finish_reason": None, "delta": {"content": word}}]})
            if said == "hang":
                time.sleep(30)
        if said == "die":
            return
        reason = "length" if asked.get("max_tokens", 3) < 3 else "stop"
        self.event({"choices": [{"finish_reason": reason, "delta": {}}]})
        used, took = {"completion_tokens": 3, "prompt_tokens": 7}, {"prompt_ms": 2.0}
        self.event({"choices": [], "usage": used, "timings": took | {"predicted_ms": 1.0}})
    def event(self, document):
        self.wfile.write(b"data: " + json.dumps(document).encode() + b"\\n\\n"); self.wfile.flush()

class Server:
    def __init__(self, params):
        if open(params.model.path, "rb").read(4) != b"GGUF":
            raise RuntimeError("invalid magic")
        served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        served.daemon_threads = True
        served.key, served.context = params.api_keys[0], params.n_ctx
        threading.Thread(target=served.serve_forever, daemon=True).start()
        self.listening_address = f"http://127.0.0.1:{served.server_port}"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    (folder / "xllamacpp.py").write_text(RUNTIME, encoding="utf-8")
    (folder / "tiny.gguf").write_bytes(b"GGUF and more")
    (folder / "other.gguf").write_bytes(b"PNG")
    return folder


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[OllamaServer]:
    transcript = place / "transcript.jsonl"
    engine = LlamaEngine(place / "tiny.gguf", place, name="tiny", transcript=transcript)
    with closing(engine), ollama_server(engine, (engine.pulled,)) as running:
        yield running


def chat(server: OllamaServer, said: str, **more: object) -> httpx.Response:
    body = {"model": "tiny", "messages": [{"role": "user", "content": said}], **more}
    return httpx.post(f"{server.url}/api/chat", json=body, timeout=20)


def lines(answer: httpx.Response) -> list[dict[str, object]]:
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_reply_streams_and_ends_with_its_counts(server: OllamaServer) -> None:
    *pieces, last = lines(chat(server, "hi"))
    assert len(pieces) == 3
    assert (last["done_reason"], last["prompt_eval_count"], last["eval_count"]) == ("stop", 7, 3)
    assert last["prompt_eval_duration"] == 2_000_000


def test_a_schema_becomes_a_grammar_and_the_context_is_as_asked(server: OllamaServer) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["x"]}}}
    answer = chat(server, "hi", format=schema, stream=False, options={"num_ctx": 2048}).json()
    assert json.dumps({"schema": schema}) in answer["message"]["content"]
    assert "ctx=2048" in answer["message"]["content"]


def test_a_reply_cut_at_its_longest_says_so(server: OllamaServer) -> None:
    assert (
        chat(server, "hi", stream=False, options={"num_predict": 1}).json()["done_reason"]
        == "length"
    )


def test_what_does_not_fit_is_refused_by_the_models_own_count(server: OllamaServer) -> None:
    answer = chat(server, "word " * 3000, truncate=False, options={"num_ctx": 2048})
    assert answer.status_code == 400
    assert "3000 tokens" in answer.json()["error"]


def test_a_refusal_of_llama_cpp_is_passed_on(server: OllamaServer) -> None:
    answer = chat(server, "refuse")
    assert (answer.status_code, answer.json()) == (400, {"error": "failed to parse grammar"})


def test_a_client_that_leaves_frees_the_lane(server: OllamaServer) -> None:
    before = server.cancelled
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hang"}]}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/api/chat", json=body, timeout=0.3)
    assert server.wait_for(lambda one: one.cancelled > before)
    assert lines(chat(server, "hi"))[-1]["done"] is True


def test_questions_and_replies_are_written_down(server: OllamaServer, place: Path) -> None:
    chat(server, "remember me")
    written = (place / "transcript.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(written)["messages"][0]["content"] == "remember me"


def test_a_file_that_is_no_model_is_told_by_name(place: Path) -> None:
    with pytest.raises(LlamaError, match=r"does not load '.*other.gguf': .*invalid magic"):
        LlamaEngine(place / "other.gguf", place)
    with pytest.raises(LlamaError, match="there is no such file"), gguf_server(place / "none.gguf"):
        pass


def test_a_wheel_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    wheel = PinnedWheel("never-asked-for", "1.0", ("0" * 64,), 1)
    (tmp_path / "never-asked-for-1.0").mkdir()
    assert wheel.unpacked(tmp_path) == tmp_path / "never-asked-for-1.0"


def test_a_wheel_without_room_for_it_is_not_fetched(tmp_path: Path) -> None:
    wheel = PinnedWheel("too-large", "1.0", ("0" * 64,), 10**12)
    with pytest.raises(LlamaError, match="needs 1000000000000 MB"):
        wheel.unpacked(tmp_path)


@pytest.mark.parametrize(
    ("rules", "model", "gone", "added"),
    [
        pytest.param("a\nb", "a\n(model) hm\nb", (), ("(model) hm",), id="added under ours"),
        pytest.param("a\nb", "a", ("b",), (), id="ours is gone"),
        pytest.param("a\nb", "b\na", ("b",), ("b",), id="another order"),
        pytest.param(
            "a\nanswered by intent, no model is used · as of 12:00",
            "a\nwritten by m, checked by code · as of 12:00",
            (),
            ("written by m, checked by code · as of 12:00",),
            id="another signature",
        ),
        pytest.param("inc-00000001 ok", "inc-ffffffff ok", (), (), id="drawn names"),
    ],
)
def test_what_is_read_is_held_line_by_line(
    rules: str, model: str, gone: tuple[str, ...], added: tuple[str, ...]
) -> None:
    found = compared("x", rules, model, 0.0)
    assert (found.gone, found.added) == (gone, added)


@pytest.mark.integration
def test_the_smallest_real_model_answers_in_a_schema() -> None:
    if not (FETCHED / f"{LLAMA_CPP.name}-{LLAMA_CPP.version}").is_dir():
        pytest.skip(f"no llama.cpp in {FETCHED}; make real-model fetches it")
    schema = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"]}
    with gguf_server(None, cache=FETCHED) as real:
        body = {"model": SMALLEST, "messages": [{"role": "user", "content": "x or y?"}]}
        answer = httpx.post(
            f"{real.url}/api/chat", json={**body, "format": schema, "stream": False}, timeout=60
        )
    assert json.loads(answer.json()["message"]["content"])["a"] in ("x", "y")
