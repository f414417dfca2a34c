"""The model of the settings: connected and looked for, and what `copilot doctor` says of it."""

import time
from collections.abc import Iterator, Sequence
from typing import Literal
from urllib.parse import urlsplit

from copilot.model.families import ADVISED, family_of
from copilot.model.ollama.client import Client, version_numbers
from copilot.model.probe import probed
from copilot.model.served import AUTO, Endpoint, ServedModel, chosen, lacks
from copilot.model.server import ModelAddress, ModelServer, ModelTraits, ServingOptions, Timeouts
from copilot.ports import ModelError
from copilot.settings import Settings, SettingsError
from copilot.types.breaker import Breaker
from copilot.types.checks import Check
from copilot.types.errors import install

INSTRUCT = "qwen3:30b-instruct"
"""What answers quicker than `qwen3:30b`, and is as large."""


def addresses(settings: Settings) -> tuple[str, ...]:
    """The servers of `model_url`; raises `SettingsError` for what is none."""
    found = tuple(part.strip().rstrip("/") for part in settings.model_url.split(","))
    for url in found:
        if not url.startswith(("http://", "https://")):
            raise SettingsError(
                f"model_url has {url!r}; it is one or more addresses like "
                "http://127.0.0.1:11434 (Ollama) or http://127.0.0.1:8000/v1 (OpenAI's API), with "
                "commas between"
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


def servers(settings: Settings) -> tuple[ModelServer, ...]:
    """One for each address; the one that ends in `/v1` speaks OpenAI's API."""
    if settings.model_ca_file is not None and not settings.model_ca_file.is_file():
        raise SettingsError(f"model_ca_file {str(settings.model_ca_file)!r} is no file")
    headers = {name: value.get_secret_value() for name, value in settings.model_headers.items()}
    key = "" if settings.model_key is None else settings.model_key.get_secret_value()
    ca_file = "" if settings.model_ca_file is None else str(settings.model_ca_file)
    accesses = [
        ModelAddress(url, key, headers, settings.model_proxy, ca_file)
        for url in addresses(settings)
    ]
    return tuple(_server(access, timeouts(settings), settings) for access in accesses)


def _server(access: ModelAddress, limits: Timeouts, settings: Settings) -> ModelServer:
    auto = "openai" if access.url.endswith("/v1") else "ollama"
    if (settings.model_api if settings.model_api != "auto" else auto) == "ollama":
        return Client(access, limits)
    try:
        from copilot.model.openai_api import OpenAIClient  # noqa: PLC0415 - an extra, and slow
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{access.url} speaks OpenAI's API, but its client is missing: {install('openai')}"
        ) from error
    return OpenAIClient(access, limits)


def options(settings: Settings) -> ServingOptions:
    """What is the same for every question."""
    return ServingOptions(
        context=settings.model_context,
        think=settings.model_think,
        keep_alive=_duration(settings.model_keep_alive),
        seed=settings.model_seed,
    )


def connected(settings: Settings) -> ServedModel:
    """The model, after one short look at each server; what is not there is looked for again."""
    model = ServedModel(
        settings.model,
        [Endpoint(one, Breaker(time.monotonic)) for one in servers(settings)],
        options(settings),
        timeouts(settings),
        settings.model_parallel,
        expected=settings.model_use == "on",
    )
    model.look(*model.endpoints)
    return model


def _duration(keep_alive: str) -> float | str:
    """Seconds have to be a number: the server takes "-1" for a duration that lacks its unit."""
    return keep_alive if keep_alive[-1] in "smh" else float(keep_alive)


def examined(settings: Settings) -> Iterator[Check]:
    """Every check of every server, and one look at how the model answers."""
    for server in servers(settings):
        try:
            yield from _examined(server, settings)
        except ModelError as error:
            yield Check("model", _lacking(settings), error.problem, _start(server, settings))
        finally:
            server.close()


def _examined(server: ModelServer, settings: Settings) -> Iterator[Check]:
    said = server.said()
    yield Check(said.name, said.state, said.found, said.advice or _exposed(settings))
    names = server.names()
    name = settings.model
    if name == AUTO:
        name = chosen({Endpoint(server, Breaker(time.monotonic)): names}) or AUTO
    if not {name, f"{name}:latest"} & names:
        found, _, advice = lacks(server, name, names).partition(": ")
        if server.api == "ollama":
            pull = ADVISED if name == AUTO else name
            has = ", ".join(sorted(names)) or "nothing"
            found = f"{name!r} is not there; it has {has}"
            advice = f"run: ollama pull {pull}"
        yield Check("model tag", _lacking(settings), found, advice)
        return
    traits = server.traits(name)
    fits = [*_tag(traits, name, settings, said.found), _context(traits, settings)]
    yield from fits
    yield from _loaded(server, name, settings)
    if settings.embedder_ollama_model in names and _shared(server, settings):
        yield Check(
            "embedding",
            "ok",
            f"{settings.embedder_ollama_model} is on the same server",
            "set OLLAMA_MAX_LOADED_MODELS=2 or more there, or each search unloads the model",
        )
    if not any(one.state == "broken" for one in fits):
        yield from probed(server, name, options(settings), timeouts(settings), settings.model_s)


def _tag(traits: ModelTraits, name: str, settings: Settings, server: str) -> Iterator[Check]:
    family = family_of(name)
    taken = f"auto took {traits.found}" if settings.model == AUTO else traits.found
    if settings.model_think is True and traits.abilities and "thinking" not in traits.abilities:
        yield Check("model tag", "broken", taken, "it cannot think: COPILOT_MODEL_THINK=auto")
        return
    advice = ""
    version = version_numbers(server) if server.startswith("Ollama") else ()
    if version and version < family.ollama:
        advice = f"it wants Ollama {'.'.join(map(str, family.ollama))} or later: update it"
    elif family.thinks == "always" and settings.model_think is not True and not family.levels:
        advice = (
            "it thinks though told not to, which is cut out but takes its time; quicker: "
            f"ollama pull {INSTRUCT}, COPILOT_MODEL={INSTRUCT}"
        )
    yield Check("model tag", "ok", taken, advice)
    for one in family.known:
        if server.startswith("Ollama") or "ollama" not in one:
            yield Check("known bug", "ok", f"{family.name}: {one}")


def _context(traits: ModelTraits, settings: Settings) -> Check:
    most = traits.most_context
    if most and most < settings.model_context:
        found = f"the model allows {most} tokens, {settings.model_context} are set"
        return Check("context", "broken", found, f"set COPILOT_MODEL_CONTEXT={most}")
    return Check("context", "ok", f"{settings.model_context} of {most or 'unknown'} tokens")


def _loaded(server: ModelServer, name: str, settings: Settings) -> Iterator[Check]:
    if server.api != "ollama":
        return
    now, wanted = server.context_of(name), settings.model_context
    if now is None:
        yield Check("loaded", "ok", "not loaded; the service loads it when it starts")
    elif now == wanted:
        yield Check("loaded", "ok", f"loaded with a context of {now}")
    else:
        relation = "<" if now < wanted else "and not the"
        yield Check(
            "loaded",
            "missing",
            f"loaded with ctx {now} {relation} required {wanted}; the next question loads it anew",
            f"others ask with another: set OLLAMA_CONTEXT_LENGTH={wanted} where `ollama "
            f"serve` runs, or COPILOT_MODEL_CONTEXT={now} here",
        )


def _lacking(settings: Settings) -> Literal["missing", "broken"]:
    """Whether its absence is a choice."""
    return "broken" if settings.model_use == "on" else "missing"


def _start(server: ModelServer, settings: Settings) -> str:
    pull = ADVISED if settings.model == AUTO else settings.model
    there = f"there: ollama serve, then ollama pull {pull}; " if server.api == "ollama" else ""
    return f"{there}without a model the instruments decide alone (COPILOT_MODEL_USE=off says so)"


def _exposed(settings: Settings) -> str:
    remote: Sequence[str] = [
        url
        for url in addresses(settings)
        if url.startswith("http://")
        and urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1")
    ]
    if remote and (settings.model_key or settings.model_headers):
        return f"the key goes to {remote[0]} unencrypted: use https"
    return ""


def _shared(server: ModelServer, settings: Settings) -> bool:
    ours, embeds = urlsplit(server.url), urlsplit(settings.embedder_url)
    wanted = settings.embedder in ("auto", "ollama")
    return wanted and (ours.hostname, ours.port) == (embeds.hostname, embeds.port)
