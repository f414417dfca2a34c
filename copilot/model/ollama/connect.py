"""The model of the settings, connected and looked for."""

import time
from concurrent.futures import ThreadPoolExecutor

from copilot.model.ollama.admission import Breaker
from copilot.model.ollama.client import Access, Client, Timeouts
from copilot.model.ollama.model import Endpoint, OllamaModel
from copilot.model.ollama.options import OllamaOptions
from copilot.settings import Settings, SettingsError


def addresses(settings: Settings) -> tuple[str, ...]:
    """The servers of `model_url`; raises `SettingsError` for what is none."""
    found = tuple(part.strip().rstrip("/") for part in settings.model_url.split(","))
    for url in found:
        if not url.startswith(("http://", "https://")):
            raise SettingsError(
                f"model_url has {url!r}; it is one or more addresses like "
                "http://127.0.0.1:11434, with commas between"
            )
    return found


def timeouts(settings: Settings) -> Timeouts:
    """The timeouts of the settings."""
    return Timeouts(
        connect_s=settings.model_connect_s,
        queue_s=settings.model_queue_s,
        first_token_s=settings.model_first_token_s,
        between_tokens_s=settings.model_between_tokens_s,
        total_s=settings.model_total_s,
    )


def clients(settings: Settings) -> tuple[Client, ...]:
    """One client for each server."""
    if settings.model_ca_file is not None and not settings.model_ca_file.is_file():
        raise SettingsError(f"model_ca_file {str(settings.model_ca_file)!r} is no file")
    headers = {name: value.get_secret_value() for name, value in settings.model_headers.items()}
    key = "" if settings.model_key is None else settings.model_key.get_secret_value()
    ca_file = "" if settings.model_ca_file is None else str(settings.model_ca_file)
    return tuple(
        Client(Access(url, key, headers, settings.model_proxy, ca_file), timeouts(settings))
        for url in addresses(settings)
    )


def connected(settings: Settings) -> OllamaModel:
    """The model, after one short look at each server; what is not there is looked for again."""
    model = OllamaModel(
        settings.model,
        [Endpoint(client, Breaker(time.monotonic)) for client in clients(settings)],
        OllamaOptions(
            context=settings.model_context,
            think=settings.model_think,
            keep_alive=_duration(settings.model_keep_alive),
            seed=settings.model_seed,
        ),
        timeouts(settings),
        settings.model_parallel,
        expected=settings.model_use == "on",
    )
    with ThreadPoolExecutor() as pool:
        list(pool.map(model.look, model.endpoints))
    return model


def _duration(keep_alive: str) -> float | str:
    """Seconds have to be a number: the server takes "-1" for a duration that lacks its unit."""
    return keep_alive if keep_alive[-1] in "smh" else float(keep_alive)
