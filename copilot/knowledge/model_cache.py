"""Whether a sentence-transformers model is on this machine; asks no network and loads no torch."""

from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError


def at_hand(model: str) -> bool:
    """True for a folder, and for a name whose files are in the local Hugging Face cache."""
    if Path(model).expanduser().is_dir():
        return True
    try:
        return isinstance(try_to_load_from_cache(model, "modules.json"), str)
    except HFValidationError:
        return False
