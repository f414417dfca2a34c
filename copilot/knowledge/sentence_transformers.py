"""Embeddings by a sentence-transformers model on this machine; loads torch, so import it late."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from copilot.ports import SourceError
from tools.types import FloatArray

BATCH = 16
MOST_UNKNOWN = 0.1
"""Share of tokens; a name or an emoji may be unknown."""


class SentenceTransformerEmbedder:
    """A model in a folder, or in the local cache by its name; nothing is downloaded.

    Models that want a prefix for questions and passages carry it as a prompt, and it is used.
    """

    def __init__(self, model: str) -> None:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self._model = SentenceTransformer(model, device="cpu", local_files_only=True)
        except (OSError, ValueError) as error:
            problem = f"model {model!r} cannot be loaded from this machine: {error}"
            raise SourceError("sentence-transformers", problem, recoverable=False) from error
        folder = Path(model)
        self.model = f"sentence-transformers:{folder.name if folder.is_dir() else model}"
        self.dimension = self._model.get_embedding_dimension() or len(self.question("one"))

    def passages(self, texts: Sequence[str]) -> FloatArray:
        """One row of unit length per text."""
        rows = self._model.encode_document(
            list(texts), batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(rows, dtype=np.float64)

    def question(self, text: str) -> FloatArray:
        """The vector of a question, of unit length."""
        row = self._model.encode_query(text, normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(row, dtype=np.float64)

    def reads(self, text: str) -> bool:
        """Whether few of the tokens are unknown: an English model sees Chinese as unknown words."""
        tokens = self._model.tokenizer.tokenize(text)
        unknown = tokens.count(self._model.tokenizer.unk_token)
        return bool(unknown <= MOST_UNKNOWN * len(tokens))
