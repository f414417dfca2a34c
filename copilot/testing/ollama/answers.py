"""What the server says of itself and its models: tags, ps, show."""

from datetime import UTC, datetime
from hashlib import sha256

from copilot.testing.ollama.runners import LoadedModel, PulledModel

FOREVER = "2318-01-01T00:00:00Z"


def timestamp(at: float) -> str:
    """As the server writes it."""
    if at == float("inf"):
        return FOREVER
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def tag(model: PulledModel) -> dict[str, object]:
    """A model in `/api/tags`."""
    return {
        "name": model.full_name,
        "model": model.full_name,
        "modified_at": "2026-08-01T00:00:00Z",
        "size": model.size,
        "digest": sha256(model.full_name.encode()).hexdigest(),
        "details": _details(model),
    }


def running(loaded: LoadedModel) -> dict[str, object]:
    """A model in `/api/ps`."""
    return {
        **{key: value for key, value in tag(loaded.pulled).items() if key != "modified_at"},
        "expires_at": timestamp(loaded.expires_at),
        "size_vram": loaded.pulled.size,
        "context_length": loaded.context,
    }


def shown(model: PulledModel) -> dict[str, object]:
    """`/api/show`."""
    return {
        "license": "Apache License 2.0",
        "modelfile": f"FROM {model.full_name}\n",
        "parameters": "temperature 0.6\ntop_k 20\ntop_p 0.95",
        "template": "{{ .Prompt }}",
        "details": _details(model),
        "model_info": {
            "general.architecture": model.family,
            f"{model.family}.context_length": model.context,
        },
        "capabilities": list(model.capabilities),
        "modified_at": "2026-08-01T00:00:00Z",
    }


def _details(model: PulledModel) -> dict[str, object]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": model.family,
        "families": [model.family],
        "parameter_size": model.parameters,
        "quantization_level": model.quantization,
    }
