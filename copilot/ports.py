"""Every seam to a thing outside the process, on one screen.

Adapters implement these; `wiring` chooses them; one contract suite per port runs over the fake and
the real adapter. A source answers for a window and never returns a point later than its clock.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from copilot.types.checks import Check
from copilot.types.errors import OperatorError
from copilot.types.model_io import ModelEvent, ModelRequest
from copilot.types.notice import Notice
from copilot.types.on_call import OnCallNow, Shift
from tools.clusterer import Silence
from tools.types import (
    Alert,
    Change,
    ClusterQuery,
    ClusterState,
    Commit,
    Fact,
    Finding,
    FloatArray,
    LogReading,
    PlanStep,
    Series,
    Span,
    StepResult,
    Subject,
    Timestamp,
    Topology,
    Window,
)


class SourceError(OperatorError):
    """The world did not answer. `recoverable` says whether asking again may help."""

    def __init__(self, source: str, problem: str, *, recoverable: bool) -> None:
        super().__init__(f"{source}: {problem}")
        self.source = source
        self.problem = problem
        self.recoverable = recoverable


ModelFault = Literal[
    "absent",  # no server was ever found, and none was called for
    "unreachable",  # nothing answers there
    "missing",  # the server has no such model
    "busy",  # the server or our own queue took no more
    "timeout",  # a phase took longer than it may
    "broken",  # the stream ended, or said something, that is no whole reply
    "truncated",  # the server cut what it was shown
    "refused",  # the server refused the request: too long, not supported
    "open",  # it failed again and again, so for a while it is not asked
]


class ModelError(OperatorError):
    """The model gave no whole reply; whoever asked goes on without it."""

    def __init__(self, fault: ModelFault, problem: str) -> None:
        super().__init__(f"model: {problem}")
        self.fault = fault
        self.problem = problem


NoticeFault = Literal[
    "again",  # a passing fault: the network, a limit, the other side is ill
    "target",  # nothing gets through: the address is gone, or the secret is refused
    "message",  # this message is refused, others may not be
]


class NoticeError(OperatorError):
    """A channel did not take a message; `wait_s` is how long it asked to be left alone."""

    def __init__(self, fault: NoticeFault, problem: str, wait_s: float = 0.0) -> None:
        super().__init__(problem)
        self.fault = fault
        self.problem = problem
        self.wait_s = wait_s


class NoticeSender(Protocol):
    """One target of notices. It is called by one thread; what it raises is a `NoticeError`."""

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Post it, or bring the message `before` up to date; returns what to call the message.

        `key` is the same for every try; empty is returned where a message cannot be changed.
        """
        ...


class Clock(Protocol):
    """Time, in Unix seconds; a replay's clock stands where the replay stands."""

    def now(self) -> Timestamp: ...

    def sleep(self, seconds: float) -> None:
        """Let time pass; a simulated clock moves its world on instead of waiting."""
        ...


class MetricSource(Protocol):
    def series(self, window: Window) -> Sequence[Series]: ...

    def baseline(self, before: Timestamp) -> Sequence[Series]:
        """Normal operation to compare with: history, or the quiet past; never after `before`."""
        ...


class BusinessSource(Protocol):
    def slices(self, window: Window, onset: Timestamp) -> Sequence[Finding]:
        """Which slice is to blame for each business metric that departed since the onset."""
        ...

    def alerts(self, now: Timestamp) -> Sequence[Alert]:
        """An alert for each that departs now, to be repeated while it does."""
        ...


class LogSource(Protocol):
    """Lines as they were written, each once; `Sources.whole_log` joins them to records."""

    def lines(self, window: Window) -> LogReading:
        """Lines of the window, ascending by time, and what of it was not read."""
        ...

    def baseline_lines(self, before: Timestamp) -> LogReading:
        """Normal operation to compare with, strictly before `before`: the start of the look."""
        ...


class TraceSource(Protocol):
    def spans(self, window: Window, split: Timestamp | None = None) -> Sequence[Span]:
        """Spans that began inside the window; of too many, as many from before `split` as since."""
        ...


class TopologySource(Protocol):
    def topology(self) -> Topology: ...


class ChangeSource(Protocol):
    def changes(self, window: Window) -> Sequence[Change]: ...


class CommitSource(Protocol):
    def commits(self, window: Window) -> Sequence[Commit]:
        """Commits of the repositories that are released from, with diffs as far as known."""
        ...


class AlertSource(Protocol):
    def alerts(self, window: Window) -> Sequence[Alert]: ...


class SilenceSource(Protocol):
    def silences(self) -> Sequence[Silence]:
        """What people asked not to be told of, now or later."""
        ...


@dataclass(frozen=True, slots=True)
class LookReading:
    """What declared looks of one server found, and which of them told nothing and why."""

    findings: tuple[Finding, ...] = ()
    missing: tuple[str, ...] = ()


class LookSource(Protocol):
    """A server whose declared looks are taken for an incident; reads only."""

    @property
    def name(self) -> str: ...

    def look(self, window: Window, about: Sequence[Subject]) -> LookReading:
        """Each look, for the services `about`; raises SourceError where the server is silent."""
        ...


class FactSource(Protocol):
    """What is configured of the components, by `<fact>:<component>`: replicas, node, caller, …"""

    def facts(self) -> Mapping[str, Fact]: ...


@runtime_checkable
class RemoteSource(Protocol):
    """What a source across the network says of itself, beside what its port asks of it."""

    def describe(self) -> str:
        """Where it is and how much it tells, in one line; raises SourceError."""
        ...

    def problems(self) -> Sequence[str]:
        """What its last answer lacked, a line each; empty where it told everything."""
        ...


@runtime_checkable
class ExaminedSource(Protocol):
    """Metrics that say more of themselves than one line, for `copilot doctor`."""

    def checks(self, elsewhere: Collection[str] = ()) -> Sequence[Check]:
        """What was found and what is missing; raises SourceError.

        `elsewhere` are services whose requests another source measures.
        """
        ...


class NamespaceSource(Protocol):
    """A Kubernetes namespace and the nodes under it; reads only, and only what is asked.

    `cluster` is its name, empty where one cluster only is inspected.
    """

    cluster: str
    namespace: str

    def look(self, looks: Sequence[ClusterQuery]) -> ClusterState:
        """What these questions find; a question it cannot answer finds nothing."""
        ...


@dataclass(frozen=True, slots=True)
class ClusterReading:
    """The namespaces that can be read now; `missing` says which of the configured cannot.

    `several` says whether more than one is configured, so that a name has to say where it is;
    `findings` are those of a recording, which has no namespace to read any more.
    """

    namespaces: tuple[NamespaceSource, ...]
    missing: tuple[str, ...] = ()
    several: bool = False
    findings: tuple[Finding, ...] = ()


class ClusterSource(Protocol):
    """The Kubernetes namespaces that are inspected, of one or several clusters."""

    def reading(self) -> ClusterReading:
        """The namespaces, opened for one inspection; raises SourceError where none answers."""
        ...

    def changes(self, window: Window) -> Sequence[Change]:
        """Rollouts of workloads, with the lines of the pod template that each changed."""
        ...

    def remotes(self) -> Sequence[RemoteSource]:
        """Each cluster, for whoever asks whether it answers."""
        ...


class Runner(Protocol):
    """Runs one approved step. The caller has recorded `key` before and records the result after."""

    def run(self, step: PlanStep, key: str) -> StepResult: ...

    def touches(self, step: PlanStep) -> bool:
        """Whether running it is real: False where it is only shown, or nobody here runs it."""
        ...


@runtime_checkable
class NamingRunner(Protocol):
    """A runner whose steps name things that an operator declared."""

    def stands_for(self, step: PlanStep) -> str:
        """What the names in the step mean now: a program and its hash, an address, a namespace."""
        ...


class Model(Protocol):
    """A language model. It writes text; what becomes of that is decided elsewhere."""

    context_tokens: int

    @property
    def name(self) -> str:
        """As its server lists it; may become known only when a server is found."""
        ...

    def tokens(self, text: str) -> int:
        """An estimate, never too low, of what a text costs of `context_tokens`."""
        ...

    def stream(self, request: ModelRequest) -> Iterator[ModelEvent]:
        """Pieces as they come, then one `Done`; raises `ModelError`. Closing it cancels."""
        ...


class Embedder(Protocol):
    """Texts to vectors of unit length; vectors of different models are never compared."""

    model: str
    dimension: int

    def passages(self, texts: Sequence[str]) -> FloatArray: ...

    def question(self, text: str) -> FloatArray: ...

    def reads(self, text: str) -> bool:
        """Whether its vocabulary has the words of a text; others it would only guess at."""
        ...


class Reranker(Protocol):
    """Reads a question and a passage together; slower than vectors, so only the first few."""

    model: str

    def scores(self, question: str, passages: Sequence[str]) -> Sequence[float]:
        """One score per passage, higher is nearer; comparable within this call only."""
        ...


class VectorIndex(Protocol):
    """Vectors by id, on disk, of one model; lost, it is built anew from the documents."""

    def stored(self) -> Mapping[str, str]:
        """The digest of each text that is in it, by id."""
        ...

    def put(self, digests: Mapping[str, str], vectors: FloatArray) -> None: ...

    def remove(self, ids: Sequence[str]) -> None: ...

    def nearest(self, vector: FloatArray, limit: int) -> Sequence[tuple[str, float]]:
        """Ids with their cosine, nearest first."""
        ...


class Spans(Protocol):
    """Notes how long what took, for whoever traces the copilot itself."""

    def __call__(self, name: str, **attributes: str | int) -> AbstractContextManager[object]:
        """A span around a block; `attributes` say of whom it is, never what was said."""
        ...


def no_spans(name: str, **attributes: str | int) -> AbstractContextManager[object]:
    """Nobody traces."""
    return nullcontext()


class RunQueue(Protocol):
    """Hands out runs of the store as they fall due, where other processes take some of them."""

    def work(
        self,
        handle: Callable[[str], None],
        stopping: threading.Event,
        works: Callable[[], None],
    ) -> None:
        """Give run ids to `handle`, each in a thread, until `stopping`; call `works` while it can.

        Raises where it cannot go on.
        """
        ...

    def sweep(self) -> None:
        """Offer again what a process that died, or lost its connection, has left behind."""
        ...


class ShiftSource(Protocol):
    """A schedule of people, such as a calendar or one that a platform keeps."""

    def shifts(self, window: Window) -> Sequence[Shift]:
        """Whose turn it is within the window; who stands in is in place. Raises `SourceError`."""
        ...


class OnCallRota(Protocol):
    """Who is on call, by what was read last: looking waits for nothing and raises nothing."""

    @property
    def schedules(self) -> Sequence[str]:
        """The names of the schedules; the first is meant where none is named."""
        ...

    def refresh(self, now: Timestamp) -> None:
        """Read them anew; what cannot be read stays as it was."""
        ...

    def on_call(self, now: Timestamp, schedule: str = "") -> OnCallNow:
        """Whom a schedule names at `now`, how old that is, and what is wrong with it."""
        ...
