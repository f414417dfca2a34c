"""Text that anybody may have written, put before a model so that it stays data.

It is cut, rid of what cannot be seen, and enclosed between marks that carry a random word of this
one request: whoever wrote the text could not know it, so the text cannot end its own enclosure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tools.log_retriever import sanitize

LINE_CHARS = 400
"""Longest line of data that a model is shown."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The marks around data of one request; `nonce` is random and never shown to anybody else."""

    nonce: str

    def line(self, text: str, limit: int = LINE_CHARS) -> str:
        """One line of data: no control, bidirectional or zero-width characters, and no mark.

        Double quotes are single ones: a model that copies one into JSON ends its text there.
        """
        shown = sanitize(text, limit).replace("<*>", "…")
        # A mark cannot be written without these; and the nonce cannot be guessed, only leaked.
        shown = shown.replace(self.nonce, "").replace("<<", "‹").replace(">>", "›")
        return shown.replace('"', "'")

    def enclose(self, provenance: str, lines: Sequence[str]) -> str:
        """The lines between marks that say where they come from; lines must have been cleaned."""
        body = "\n".join(lines) if lines else "-"
        return f"<<data {self.nonce} from={provenance}>>\n{body}\n<<end {self.nonce}>>"
