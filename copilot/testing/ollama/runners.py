"""Models that are pulled and loaded: what another option set, keep_alive and memory do to them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from copilot.testing.ollama.protocol import ChatOptions, RequestError
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
