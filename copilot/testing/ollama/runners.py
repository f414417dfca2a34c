"""Models that are pulled and loaded, what the server says of them, and how a chat gets to one."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from copilot.testing.ollama.counting import TokenCounter, counted, fitting
from copilot.testing.ollama.protocol import ChatOptions, ChatRequest, RequestError, paired
from copilot.testing.ollama.reply import OllamaReply, ReplyPolicy
from copilot.testing.ollama.script import ReplyContext, ScriptedAction, last, script
from tools.types import FrozenModel

FIVE_MINUTES = 300.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class PulledModel(FrozenModel):
    """A model on the server's disk. One that `thinks_always` ignores `think: false`, and leaks."""

    name: str = "qwen3:30b"
    family: str = "qwen3moe"
    capabilities: tuple[str, ...] = ("completion", "tools", "thinking")
    context: int = 262_144
    parameters: str = "30.5B"
    quantization: str = "Q4_K_M"
    size: int = 18_556_699_314
    digest: str = ""
    thinks_always: bool = False

    @property
    def full_name(self) -> str:
        """With its tag."""
        return self.name if ":" in self.name else f"{self.name}:latest"


EMBEDS = PulledModel(
    name="qwen3-embedding:0.6b",
    family="qwen3",
    capabilities=("embedding",),
    context=32_768,
    parameters="595.78M",
    quantization="Q8_0",
    size=639_150_592,
)


@dataclass(slots=True)
class LoadedModel:
    """A model in memory, with what it was loaded with."""

    pulled: PulledModel
    key: tuple[object, ...]
    context: int
    keep_s: float = FIVE_MINUTES
    expires_at: float = 0.0


@dataclass(slots=True)
class Runners:
    """Which models are in memory. `loads` has every load in order: a reload is one more."""

    pulled: tuple[PulledModel, ...]
    now: Callable[[], float]
    default_context: int = 4096
    parallel: int = 1
    most_loaded: int = 3
    loads: list[tuple[str, int]] = field(default_factory=list)
    _loaded: dict[str, LoadedModel] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _slots: dict[str, threading.Semaphore] = field(default_factory=dict)

    def known(self, name: str, missing: str = "model '{}' not found") -> PulledModel:
        """A pulled model, or a 404 in the words of the endpoint."""
        for one in self.pulled:
            if name in (one.name, one.full_name):
                return one
        raise RequestError(404, missing.format(name))

    def loaded(self) -> list[LoadedModel]:
        """What is in memory now; what its keep_alive ran out for is not."""
        with self._lock:
            gone = [n for n, one in self._loaded.items() if one.expires_at <= self.now()]
            for name in gone:
                del self._loaded[name]
            return list(self._loaded.values())

    def load(
        self,
        model: PulledModel,
        options: ChatOptions,
        keep_alive: float | str | None,
        *,
        shift: bool,
    ) -> tuple[LoadedModel, bool]:
        """The model in memory as asked, and whether it had to be loaded for that."""
        context = min(options.num_ctx or self.default_context, model.context)
        key = (context, shift, *options.loads())
        with self._lock:
            self.loaded()
            known = self._loaded.get(model.full_name)
            fresh = known is None or known.key != key
            if known is None or fresh:
                self._make_room(model)
                keep_s = known.keep_s if known else FIVE_MINUTES
                known = LoadedModel(model, key, context, keep_s)
                self._loaded[model.full_name] = known
                self.loads.append((model.full_name, context))
            self._keep(known, keep_alive)
            return known, fresh

    def unload(self, model: PulledModel) -> None:
        """Out of memory."""
        with self._lock:
            self._loaded.pop(model.full_name, None)

    @contextmanager
    def slot(self, model: PulledModel) -> Iterator[None]:
        """One of the model's slots; who comes later waits, and hears nothing meanwhile."""
        with self._lock:
            slots = self._slots.setdefault(model.full_name, threading.Semaphore(self.parallel))
        with slots:
            yield

    def _make_room(self, model: PulledModel) -> None:
        while len(self._loaded) >= self.most_loaded and model.full_name not in self._loaded:
            oldest = min(self._loaded, key=lambda name: self._loaded[name].expires_at)
            del self._loaded[oldest]

    def _keep(self, loaded: LoadedModel, keep_alive: float | str | None) -> None:
        if keep_alive is not None:
            loaded.keep_s = seconds(keep_alive)
        loaded.expires_at = self.now() + loaded.keep_s


def seconds(keep_alive: float | str) -> float:
    """A duration as the server reads it: a number, or text with a unit; negative is forever."""
    if isinstance(keep_alive, str):
        number, unit = keep_alive[:-1], keep_alive[-1:]
        if unit not in _UNITS or not number.lstrip("-").replace(".", "", 1).isdigit():
            raise RequestError(400, f'time: invalid duration "{keep_alive}"')
        value = float(number) * _UNITS[unit]
    else:
        value = keep_alive
    return float("inf") if value < 0 else value


FOREVER = "2318-01-01T00:00:00Z"


def timestamp(at: float) -> str:
    """As the server writes it."""
    if at == float("inf"):
        return FOREVER
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def listed_model(model: PulledModel) -> dict[str, object]:
    """A model in `/api/tags`."""
    return {
        "name": model.full_name,
        "model": model.full_name,
        "modified_at": "2026-08-01T00:00:00Z",
        "size": model.size,
        "digest": model.digest or sha256(model.full_name.encode()).hexdigest(),
        "details": _details(model),
    }


def listed_running(loaded: LoadedModel) -> dict[str, object]:
    """A model in `/api/ps`."""
    return {
        **{k: value for k, value in listed_model(loaded.pulled).items() if k != "modified_at"},
        "expires_at": timestamp(loaded.expires_at),
        "size_vram": loaded.pulled.size,
        "context_length": loaded.context,
    }


def shown_model(model: PulledModel) -> dict[str, object]:
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


LOAD_NS = 2_000_000_000
UNBOUNDED = 1_000_000
_LEAKS_ANYHOW = frozenset({"leaked", "orphan"})


def checked(request: ChatRequest, runners: Runners) -> PulledModel:
    """The model asked for, where it can do what is asked of it."""
    if not request.model:
        raise RequestError(400, "model is required")
    if not 0 <= request.top_logprobs <= 20:
        raise RequestError(400, "top_logprobs must be between 0 and 20")
    model = runners.known(request.model)
    can = model.capabilities
    if "completion" not in can:
        raise RequestError(400, f'"{request.model}" does not support chat')
    if request.tools and "tools" not in can:
        name = f"registry.ollama.ai/library/{model.full_name}"
        raise RequestError(400, f"{name} does not support tools")
    if request.think and "thinking" not in can:
        raise RequestError(400, f'"{request.model}" does not support thinking')
    if wrong := paired(request.messages):
        raise RequestError(400, wrong)
    return model


def loading(request: ChatRequest, model: PulledModel, runners: Runners) -> list[ScriptedAction]:
    """A request without messages: loads the model, or unloads it."""
    turn = ReplyContext(request.model, timestamp(runners.now()), False, False, 0, 0, 0)
    if request.keep_alive in (0, "0"):
        runners.unload(model)
        return [last(turn, 0, "unload")]
    runners.load(model, request.options, request.keep_alive, shift=request.shift)
    return [last(turn, 0, "load")]


def fitted(
    request: ChatRequest, loaded: LoadedModel, count: TokenCounter, *, obeys: bool
) -> ChatRequest:
    """The request with the messages that the model gets to see."""
    cost = count(request.messages)
    if cost <= loaded.context:
        return request
    if obeys and not request.truncate:
        raise RequestError(
            400,
            f"request ({cost} tokens) exceeds the available context size ({loaded.context} "
            "tokens), try increasing it",
        )
    return request.model_copy(update={"messages": fitting(request.messages, loaded.context, count)})


def answered(
    request: ChatRequest, loaded: LoadedModel, fresh: bool, policy: ReplyPolicy
) -> Generator[ScriptedAction, None, None]:
    """What is written for a chat; `request` is already cut to what fits."""
    reply = policy(request)
    yield from script(reply, _turn(request, loaded, fresh, reply))


def _turn(
    request: ChatRequest, loaded: LoadedModel, fresh: bool, reply: OllamaReply
) -> ReplyContext:
    thinks = "thinking" in loaded.pulled.capabilities and request.think is not False
    prompt = counted(request.messages)
    wanted = request.options.num_predict
    room = wanted if wanted is not None and wanted >= 0 else UNBOUNDED
    if not request.shift:
        room = min(room, max(1, loaded.context - prompt))
    slow = int(reply.wait_s * 1e9) if reply.scenario == "slow_load" else 0
    return ReplyContext(
        model=request.model,
        created_at=timestamp(loaded.expires_at - loaded.keep_s)
        if loaded.keep_s != float("inf")
        else "2026-11-25T14:02:00Z",
        thinks=thinks,
        leaks=loaded.pulled.thinks_always and request.think is False,
        prompt_tokens=prompt,
        room=room,
        load_ns=slow or (LOAD_NS if fresh else 0),
    )
