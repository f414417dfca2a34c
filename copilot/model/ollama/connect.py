"""The model of the settings: connected and looked for, and what `copilot doctor` says of it."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Literal
from urllib.parse import urlsplit

import ollama

from copilot.model.ollama.client import Access, Client, Timeouts
from copilot.model.ollama.model import Endpoint, OllamaModel
from copilot.model.ollama.request import OllamaOptions
from copilot.ports import ModelError
from copilot.settings import Settings, SettingsError
from copilot.types.breaker import Breaker
from copilot.types.checks import Check


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


THINKS_ANYHOW = re.compile(r"qwen3(:latest|:30b(-a3b)?|:.*thinking.*)?(-q\w+)?$")
"""Tags that were seen to think though told not to; of `qwen3:30b` it is what its users report."""
INSTRUCT = "qwen3:30b-instruct"

OLDEST = (0, 13)
"""Ollama that takes `truncate` and `shift`, which came in October 2025, for certain."""


def examined(settings: Settings) -> Iterator[Check]:
    """Every check of every server."""
    for client in clients(settings):
        try:
            yield from _server(client, settings)
        except ModelError as error:
            yield Check("model", _lacking(settings), error.problem, _start(settings))
        finally:
            client.close()


def _server(client: Client, settings: Settings) -> Iterator[Check]:
    yield _version(client, settings)
    names = client.names()
    if not {settings.model, f"{settings.model}:latest"} & names:
        has = ", ".join(sorted(names)) or "nothing"
        found = f"{settings.model!r} is not there; it has {has}"
        yield Check("model tag", _lacking(settings), found, f"run: ollama pull {settings.model}")
        return
    shown = client.shown(settings.model)
    yield _tag(shown, settings)
    yield _context(shown, settings)
    yield _loaded(client, settings)
    if settings.embedder_ollama_model in names and _shared(client, settings):
        yield Check(
            "embedding",
            "ok",
            f"{settings.embedder_ollama_model} is on the same server",
            "set OLLAMA_MAX_LOADED_MODELS=2 or more there, or each search unloads the model",
        )


def _version(client: Client, settings: Settings) -> Check:
    said = client.version()
    found = f"Ollama {said or 'of no version'} at {client.url}"
    numbers = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    if numbers and numbers < OLDEST:
        advice = "it may cut what is too long for it and say nothing: update it"
        return Check("model", "missing", found, advice)
    return Check("model", "ok", found, _exposed(settings))


def _tag(shown: ollama.ShowResponse, settings: Settings) -> Check:
    able = shown.capabilities or []
    size = shown.details.parameter_size if shown.details else ""
    found = f"{settings.model} {size or ''}, can do: {', '.join(able) or 'not said'}"
    if settings.model_think and "thinking" not in able:
        return Check("model tag", "broken", found, "it cannot think: COPILOT_MODEL_THINK=false")
    if not settings.model_think and THINKS_ANYHOW.fullmatch(settings.model):
        advice = (
            "it thinks though told not to, which is cut out but takes its time; quicker: "
            f"ollama pull {INSTRUCT}, COPILOT_MODEL={INSTRUCT}"
        )
        return Check("model tag", "ok", found, advice)
    return Check("model tag", "ok", found)


def _context(shown: ollama.ShowResponse, settings: Settings) -> Check:
    named = [n for key, n in (shown.modelinfo or {}).items() if key.endswith(".context_length")]
    most = next((int(n) for n in named), 0)
    if most and most < settings.model_context:
        found = f"the model allows {most} tokens, {settings.model_context} are set"
        return Check("context", "broken", found, f"set COPILOT_MODEL_CONTEXT={most}")
    return Check("context", "ok", f"{settings.model_context} of {most or 'unknown'} tokens")


def _loaded(client: Client, settings: Settings) -> Check:
    now, wanted = client.context_of(settings.model), settings.model_context
    if now is None:
        return Check("loaded", "ok", "not loaded; the service loads it when it starts")
    if now == wanted:
        return Check("loaded", "ok", f"loaded with a context of {now}")
    relation = "<" if now < wanted else "and not the"
    return Check(
        "loaded",
        "missing",
        f"loaded with ctx {now} {relation} required {wanted}; the next question loads it anew",
        f"others ask with another: set OLLAMA_CONTEXT_LENGTH={wanted} where `ollama "
        f"serve` runs, or COPILOT_MODEL_CONTEXT={now} here",
    )


def _lacking(settings: Settings) -> Literal["missing", "broken"]:
    """Whether its absence is a choice."""
    return "broken" if settings.model_use == "on" else "missing"


def _start(settings: Settings) -> str:
    return (
        f"there: ollama serve, then ollama pull {settings.model}; without a model the "
        "instruments decide alone (COPILOT_MODEL_USE=off says so)"
    )


def _exposed(settings: Settings) -> str:
    remote = [
        url
        for url in settings.model_url.split(",")
        if url.strip().startswith("http://")
        and urlsplit(url.strip()).hostname not in ("127.0.0.1", "localhost", "::1")
    ]
    if remote and (settings.model_key or settings.model_headers):
        return f"the key goes to {remote[0].strip()} unencrypted: use https"
    return ""


def _shared(client: Client, settings: Settings) -> bool:
    ours, embeds = urlsplit(client.url), urlsplit(settings.embedder_url)
    wanted = settings.embedder in ("auto", "ollama")
    return wanted and (ours.hostname, ours.port) == (embeds.hostname, embeds.port)
