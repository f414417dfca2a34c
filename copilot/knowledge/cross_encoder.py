"""Re-ranking by a cross-encoder of sentence-transformers; loads torch, so import it late."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sentence_transformers import CrossEncoder
from transformers.utils import logging as transformers_logging

from copilot.ports import SourceError

BATCH = 8


class CrossEncoderReranker:
    """A model in a folder, or in the local cache by its name; nothing is downloaded."""

    def __init__(self, model: str) -> None:
        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        try:
            self._model = CrossEncoder(model, device="cpu", num_labels=1, local_files_only=True)
        except (OSError, ValueError) as error:
            problem = f"model {model!r} cannot be loaded from this machine: {error}"
            raise SourceError("reranker", problem, recoverable=False) from error
        folder = Path(model)
        self.model = f"cross-encoder:{folder.name if folder.is_dir() else model}"

    def scores(self, question: str, passages: Sequence[str]) -> Sequence[float]:
        """One score per passage; a passage longer than the model reads is cut at its end."""
        pairs = [(question, passage) for passage in passages]
        found = self._model.predict(pairs, batch_size=BATCH, show_progress_bar=False)
        return [float(score) for score in np.asarray(found, dtype=np.float64).reshape(-1)]
