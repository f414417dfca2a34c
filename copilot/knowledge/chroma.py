"""Vectors in Chroma, embedded or by its server: no telemetry, vectors of our own making.

Two processes that write one folder destroy it without an error, so a file lock comes first; a
server may be shared. What is in it can always be made again from the documents: a folder that
cannot be read is thrown away.
"""

import fcntl
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TypeVar, cast

import chromadb
import httpx
import numpy as np
from chromadb.api.client import Client
from chromadb.api.models.Collection import Collection
from chromadb.api.types import Metadata
from chromadb.config import Settings
from chromadb.errors import ChromaError

from copilot.ports import SourceError
from tools.log_retriever import redact
from tools.types import FloatArray

COLLECTION = "knowledge"
ANSWER_S = 10.0
"""A server that takes longer is not waited for; Chroma's own client waits for ever."""

_REBUILD = "build it anew: copilot kb index --rebuild"
ResponseT = TypeVar("ResponseT")


class IndexBusyError(SourceError):
    """Another process owns the index now."""

    def __init__(self, folder: Path) -> None:
        problem = f"another copilot process uses {str(folder)!r}; use its service, or stop it"
        super().__init__("vector index", problem, recoverable=True)


class ChromaIndex:
    """One collection by cosine, of one model's vectors; another model begins it anew.

    `remedy` is what to do where Chroma refuses.
    """

    def __init__(self, collection: Collection, remedy: str = _REBUILD) -> None:
        self._collection, self._remedy = collection, remedy

    def stored(self) -> Mapping[str, str]:
        """Digest of each passage that is in the index, by id."""
        found = self._asked(lambda: self._collection.get(include=["metadatas"]))
        digests = found["metadatas"] or []
        return {id_: str(meta["digest"]) for id_, meta in zip(found["ids"], digests, strict=True)}

    def put(self, digests: Mapping[str, str], vectors: FloatArray) -> None:
        """Write passages, replacing those of the same id; on disk when it returns."""
        ids = list(digests)
        metadatas: list[Metadata] = [{"digest": digests[id_]} for id_ in ids]
        rows = np.asarray(vectors, dtype=np.float32)
        self._asked(lambda: self._collection.upsert(ids=ids, embeddings=rows, metadatas=metadatas))

    def remove(self, ids: Sequence[str]) -> None:
        """Take passages out."""
        self._asked(lambda: self._collection.delete(ids=list(ids)))

    def nearest(self, vector: FloatArray, limit: int) -> Sequence[tuple[str, float]]:
        """Ids of the nearest passages with their cosine, best first."""
        rows = np.asarray([vector], dtype=np.float32)
        found = self._asked(
            lambda: self._collection.query(
                query_embeddings=rows, n_results=limit, include=["distances"]
            )
        )
        distances = (found["distances"] or [[]])[0]
        return [(id_, 1.0 - away) for id_, away in zip(found["ids"][0], distances, strict=True)]

    def _asked(self, ask: Callable[[], ResponseT]) -> ResponseT:
        return _asked(ask, self._remedy)


@contextmanager
def opened(
    folder: Path, model: str, dimension: int, *, anew: bool = False
) -> Iterator[ChromaIndex]:
    """The index in a folder, owned until it is left; emptied if another model's vectors are in it.

    A folder whose database cannot be read is removed and begun anew, as it is with `anew`.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise IndexBusyError(folder) from error
        client = _client(_emptied(folder) if anew or not _sound(folder) else folder)
        try:
            yield ChromaIndex(_collection(client, COLLECTION, model, dimension))
        finally:
            client.close()


@contextmanager
def at_server(url: str, model: str, dimension: int, *, anew: bool = False) -> Iterator[ChromaIndex]:
    """The index of a model in a Chroma server, beside those of others; emptied with `anew`."""
    name = f"{COLLECTION}-{hashlib.sha256(f'{model} {dimension}'.encode()).hexdigest()[:12]}"
    settings = Settings(anonymized_telemetry=False)
    remedy = reached(url)
    client = cast(Client, _asked(lambda: chromadb.HttpClient(url, settings=settings), remedy))
    # It has two sessions, sets neither a deadline, and leaves both open.
    sessions = [one._server._session for one in (client, client._admin_client)]  # type: ignore[union-attr]
    with closing(client), ExitStack() as stack:
        for session in sessions:
            session.timeout = httpx.Timeout(ANSWER_S)
            stack.callback(session.close)
        if anew and name in {one.name for one in _asked(client.list_collections, remedy)}:
            _asked(lambda: client.delete_collection(name), remedy)
        collection = _asked(lambda: _collection(client, name, model, dimension), remedy)
        if _brings_code(collection._model.model_dump()):
            problem = f"collection {name!r} names a function to run: somebody changed it; delete it"
            raise SourceError("vector index", problem, recoverable=False)
        yield ChromaIndex(collection, remedy)


def _brings_code(held: object) -> bool:
    """Whether what the server says of a collection names an embedding function.

    Ours have none. Chroma's client builds the one it is told of, with a model from anywhere and the
    code in it (chroma-core/chroma#6717, CVE-2026-45829).
    """
    if isinstance(held, Mapping):
        named = held.get("embedding_function")
        if isinstance(named, Mapping) and "name" in named:
            return True
        return any(map(_brings_code, held.values()))
    return isinstance(held, list) and any(map(_brings_code, held))


def reached(url: str) -> str:
    """Raise `SourceError` unless a Chroma answers there in time; what to do where it fails later.

    Its own client would wait for ever, and takes any answer for Chroma's.
    """
    remedy = f"is {redact(url)!r} (COPILOT_CHROMA_URL) a Chroma server that runs?"

    def beat() -> None:
        answer = httpx.get(f"{url.rstrip('/')}/api/v2/heartbeat", timeout=ANSWER_S)
        answer.raise_for_status()
        if "nanosecond heartbeat" not in answer.json():
            raise ValueError("no heartbeat of Chroma")

    _asked(beat, remedy)
    return remedy


def _sound(folder: Path) -> bool:
    """Whether the database can be read at all; Chroma never lets go of one that it could not."""
    try:
        with closing(sqlite3.connect(folder / "chroma.sqlite3")) as database:
            database.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError:
        return False
    return True


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    return folder


def _client(folder: Path) -> Client:
    settings = Settings(anonymized_telemetry=False)
    # Chroma says by a ValueError, too, that it cannot open what it finds.
    client = _asked(lambda: chromadb.PersistentClient(path=str(folder), settings=settings))
    # The factory promises the protocol, which cannot be closed.
    return cast(Client, client)


def _collection(client: Client, name: str, model: str, dimension: int) -> Collection:
    made_by = {"model": model, "dimension": dimension}
    found = [one for one in client.list_collections() if one.name == name]
    if found and {key: (found[0].metadata or {}).get(key) for key in made_by} != made_by:
        client.delete_collection(name)
    return client.get_or_create_collection(
        name,
        metadata=made_by,
        embedding_function=None,
        configuration={"hnsw": {"space": "cosine"}},
    )


def _asked(ask: Callable[[], ResponseT], remedy: str = _REBUILD) -> ResponseT:
    try:
        return ask()
    except (ChromaError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        away = isinstance(error, httpx.TransportError)
        raise SourceError("vector index", f"{error}; {remedy}", recoverable=away) from error
