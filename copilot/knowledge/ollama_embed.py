"""Embeddings by an Ollama server: `POST /api/embed`, documented in its API reference."""

from collections.abc import Sequence

import httpx
import numpy as np
from pydantic import BaseModel, ValidationError

from copilot.ports import SourceError
from tools.types import FloatArray

INSTRUCTION = (
    "Instruct: Given a symptom, retrieve the runbook or postmortem that explains it\nQuery: "
)
"""What an instruction-tuned embedder (Qwen3-Embedding) wants before a question."""


class _Model(BaseModel):
    name: str = ""


class _Tags(BaseModel):
    models: list[_Model] = []


class _Embeddings(BaseModel):
    embeddings: list[list[float]]


class OllamaEmbedder:
    """A model that an Ollama server has pulled; asked once for its dimension at the start."""

    def __init__(self, url: str, model: str, timeout_s: float = 120) -> None:
        self._url = url.rstrip("/")
        self._name = model
        self._timeout = httpx.Timeout(timeout_s, connect=5)
        self.model = f"ollama:{model}"
        self.dimension = len(self._embed(["dimension"])[0])

    def passages(self, texts: Sequence[str]) -> FloatArray:
        """One row of unit length per text."""
        return self._embed(texts)

    def question(self, text: str) -> FloatArray:
        """The vector of a question, of unit length."""
        instructed = INSTRUCTION + text if "qwen3-embedding" in self._name else text
        row: FloatArray = self._embed([instructed])[0]
        return row

    def reads(self, text: str) -> bool:
        """Always: the server does not tell its vocabulary, and its usual models read bytes."""
        return True

    def _embed(self, texts: Sequence[str]) -> FloatArray:
        asked = {"model": self._name, "input": list(texts), "truncate": True}
        try:
            answer = httpx.post(f"{self._url}/api/embed", json=asked, timeout=self._timeout)
            answer.raise_for_status()
            rows = np.asarray(_Embeddings.model_validate_json(answer.content).embeddings)
        except httpx.HTTPStatusError as error:
            said = error.response.text[:200]
            raise self._failed(f"{error.response.status_code}: {said}", False) from error
        except (httpx.HTTPError, ValidationError, ValueError) as error:
            raise self._failed(str(error), True) from error
        if rows.ndim != 2 or len(rows) != len(texts) or not np.isfinite(rows).all():
            raise self._failed(f"{len(texts)} texts gave an array of {rows.shape}", False)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: FloatArray = rows / np.where(norms > 0, norms, 1.0)
        return unit

    def _failed(self, problem: str, recoverable: bool) -> SourceError:
        return SourceError(f"Ollama at {self._url}", problem, recoverable=recoverable)


def has_model(url: str, model: str) -> bool:
    """Whether a server answers there within a second and has pulled this model."""
    try:
        answer = httpx.get(f"{url.rstrip('/')}/api/tags", timeout=1)
        answer.raise_for_status()
        names = {one.name for one in _Tags.model_validate_json(answer.content).models}
    except (httpx.HTTPError, ValidationError):
        return False
    return bool({model, f"{model}:latest"} & names)
