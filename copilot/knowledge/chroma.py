"""Vectors in an embedded Chroma: one owning process, no telemetry, vectors of our own making.

Two processes that write one folder destroy it without an error, so a file lock comes first. What
is in it can always be made again from the documents: a folder that cannot be read is thrown away.
"""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar, cast

import chromadb
import numpy as np
from chromadb.api.client import Client
from chromadb.api.models.Collection import Collection
from chromadb.api.types import Metadata
from chromadb.config import Settings
from chromadb.errors import ChromaError

from copilot.ports import SourceError
from tools.types import FloatArray

COLLECTION = "knowledge"
ResponseT = TypeVar("ResponseT")


class IndexBusyError(SourceError):
    """Another process owns the index now."""

    def __init__(self, folder: Path) -> None:
        problem = f"another copilot process uses {str(folder)!r}; use its service, or stop it"
        super().__init__("vector index", problem, recoverable=True)


class ChromaIndex:
    """One collection by cosine, of one model's vectors; another model begins it anew."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def stored(self) -> Mapping[str, str]:
        """Digest of each passage that is in the index, by id."""
        found = _asked(lambda: self._collection.get(include=["metadatas"]))
        digests = found["metadatas"] or []
        return {id_: str(meta["digest"]) for id_, meta in zip(found["ids"], digests, strict=True)}

    def put(self, digests: Mapping[str, str], vectors: FloatArray) -> None:
        """Write passages, replacing those of the same id; on disk when it returns."""
        ids = list(digests)
        metadatas: list[Metadata] = [{"digest": digests[id_]} for id_ in ids]
        rows = np.asarray(vectors, dtype=np.float32)
        _asked(lambda: self._collection.upsert(ids=ids, embeddings=rows, metadatas=metadatas))

    def remove(self, ids: Sequence[str]) -> None:
        """Take passages out."""
        _asked(lambda: self._collection.delete(ids=list(ids)))

    def nearest(self, vector: FloatArray, limit: int) -> Sequence[tuple[str, float]]:
        """Ids of the nearest passages with their cosine, best first."""
        rows = np.asarray([vector], dtype=np.float32)
        found = _asked(
            lambda: self._collection.query(
                query_embeddings=rows, n_results=limit, include=["distances"]
            )
        )
        distances = (found["distances"] or [[]])[0]
        return [(id_, 1.0 - away) for id_, away in zip(found["ids"][0], distances, strict=True)]


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
            yield ChromaIndex(_collection(client, model, dimension))
        finally:
            client.close()


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


def _collection(client: Client, model: str, dimension: int) -> Collection:
    made_by = {"model": model, "dimension": dimension}
    found = [one for one in client.list_collections() if one.name == COLLECTION]
    if found and {key: (found[0].metadata or {}).get(key) for key in made_by} != made_by:
        client.delete_collection(COLLECTION)
    return client.get_or_create_collection(
        COLLECTION,
        metadata=made_by,
        embedding_function=None,
        configuration={"hnsw": {"space": "cosine"}},
    )


def _asked(ask: Callable[[], ResponseT]) -> ResponseT:
    try:
        return ask()
    except (ChromaError, ValueError) as error:
        problem = f"{error}; build it anew: copilot kb index --rebuild"
        raise SourceError("vector index", problem, recoverable=False) from error
