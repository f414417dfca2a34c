"""What log mining and search cost: beside Drain3 in the same run, and as the log grows."""

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from statistics import median

from rich.progress import Progress

import copilot
from evals.logs import peers
from evals.logs.files import AnnotatedLog, read_logs
from evals.report import Options, Result, Table, number
from tools.log_retriever import Index, Miner, NoveltyConfig, novelty
from tools.log_retriever.changes import periods_of, tally
from tools.log_retriever.request_changes import request_findings
from tools.types import LogLine, SplitLog, Window

_SIZES = (2_000, 20_000, 200_000)
_ROUNDS = 3
_INDEXED = 300_000
_NOVELTY = 100_000
_TRACED = 20_000

LineAdder = Callable[[str], object]


def run(options: Options, progress: Progress) -> Result:
    """Lines per CPU second of ours and of Drain3 in turn, then index, search and novelty."""
    started = time.perf_counter()
    task = progress.add_task("logs", total=2 * len(_SIZES) + 2)
    summary: dict[str, float] = {}
    mining: list[tuple[str, ...]] = []
    for source in ("content", "raw"):
        for size in _SIZES:
            lines = _sample(options, size, headers=source == "raw")
            mining.append(_mine(source, lines, summary))
            progress.advance(task)
    log = _log_lines(_sample(options, _INDEXED, headers=True))
    search = _index(log, summary)
    progress.advance(task)
    search.append(_novelty(log[:_NOVELTY], summary))
    search.append(_requests(options.seed, summary))
    progress.advance(task)
    return Result(
        suite="bench-logs",
        version=copilot.__version__,
        data=str(options.data or "made up"),
        seconds=time.perf_counter() - started,
        summary=summary,
        tables=(
            Table(
                title=f"Mining, thousand lines per CPU second, median of {_ROUNDS} (measured);"
                f" * of ours, first {_TRACED:,} lines",
                columns=("lines", "ours", "Drain3", "ratio", "templates*", "MB*"),
                rows=tuple(mining),
            ),
            Table(
                title=f"Search over {_INDEXED:,} lines, and novelty (measured)",
                columns=("what", "figure"),
                rows=tuple(search),
            ),
        ),
    )


def _sample(options: Options, size: int, headers: bool) -> list[str]:
    if options.data is None:
        return made_up(size, options.seed, headers)
    logs = list(read_logs(options.data))
    if not logs:
        raise SystemExit(f"--data {str(options.data)!r} has no logs/SYSTEM/ to read")
    return list(islice(_varied(logs, random.Random(options.seed), headers), size))


def _varied(logs: Sequence[AnnotatedLog], rng: random.Random, headers: bool) -> Iterator[str]:
    """The recorded lines in random order, again and again, each time with other digits.

    Without other digits a second pass would meet only tokens it has seen, and be too fast.
    """
    pairs = [pair for log in logs for pair in zip(log.raw, log.contents, strict=True)]
    while True:
        rng.shuffle(pairs)
        others = str.maketrans("123456789", "".join(rng.sample("123456789", 9)))
        for raw, content in pairs:
            header = raw.removesuffix(content) if headers and raw.endswith(content) else ""
            yield header + content.translate(others)


def _peer() -> Callable[[], LineAdder] | None:
    return (lambda: peers.Drain3().add) if peers.installed() else None


def _ours(source: str) -> Callable[[], LineAdder]:
    return lambda: Miner().add if source == "raw" else Miner().add_content


def _mine(source: str, lines: Sequence[str], summary: dict[str, float]) -> tuple[str, ...]:
    peer = _peer()
    speeds: list[float] = []
    theirs: list[float] = []
    # In turn, so that a busy machine slows both alike; the largest size once.
    for _ in range(_ROUNDS if len(lines) < max(_SIZES) else 1):
        speeds.append(_speed(_ours(source)(), lines))
        if peer is not None:
            theirs.append(_speed(peer(), lines))
    ours, peer_speed = median(speeds), median(theirs) if theirs else None
    key = f"{source}.{len(lines)}"
    summary[f"{key}.lines_per_s"] = ours
    if peer_speed is not None:
        summary[f"{key}.drain3_lines_per_s"] = peer_speed
        summary[f"{key}.ratio"] = ours / peer_speed
    templates, megabytes = _memory(source, lines)
    summary[f"{key}.mb"] = megabytes
    return (
        f"{source}, {len(lines):,}",
        number(ours / 1e3, 0),
        number(peer_speed / 1e3 if peer_speed else None, 0),
        number(ours / peer_speed if peer_speed else None, 1),
        str(templates),
        number(megabytes, 1),
    )


def _speed(add: LineAdder, lines: Sequence[str]) -> float:
    started = time.process_time()
    for line in lines:
        add(line)
    return len(lines) / (time.process_time() - started)


def _memory(source: str, lines: Sequence[str]) -> tuple[int, float]:
    """Templates found and megabytes held by the miner after the first `_TRACED` lines."""
    miner = Miner()
    add = miner.add if source == "raw" else miner.add_content
    tracemalloc.start()
    try:
        for line in lines[:_TRACED]:
            add(line)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return len(miner.templates()), held / 1e6


def _log_lines(lines: Sequence[str]) -> list[LogLine]:
    return [
        LogLine(float(i) / 100, f"service-{i % 20}", "ERROR" if i % 50 == 0 else "INFO", line)
        for i, line in enumerate(lines)
    ]


def _index(log: Sequence[LogLine], summary: dict[str, float]) -> list[tuple[str, ...]]:
    index = Index()
    started = time.process_time()
    index.add(log)
    ingest = len(log) / (time.process_time() - started)
    asked: list[tuple[str, Callable[[], object]]] = [
        ("one common word", lambda: index.search("info")),
        ("two words", lambda: index.search("failed password")),
        ("two words, service", lambda: index.search("failed password", service="service-3")),
        ("phrase, level", lambda: index.search('"invalid user"', level="error")),
        ("prefix", lambda: index.search("term*")),
        ("word, window", lambda: index.search("port", window=Window(start=1000, end=1300))),
        ("newest of a service", lambda: index.search("", service="service-7")),
    ]
    size = index.size()
    rows = [("add, lines per CPU second", f"{ingest:,.0f}")]
    rows.append(("held", f"{size.lines:,} lines, {size.bytes / 1e6:.0f} MB"))
    worst = 0.0
    for name, ask in asked:
        took = _milliseconds(ask)
        worst = max(worst, took)
        rows.append((f"search: {name}", f"{took:.2f} ms"))
    summary |= {"index.lines_per_s": ingest, "index.mb": size.bytes / 1e6, "search.worst_ms": worst}
    index.close()
    return [*rows]


def _milliseconds(ask: Callable[[], object]) -> float:
    took = []
    for _ in range(9):
        started = time.process_time()
        ask()
        took.append(time.process_time() - started)
    return 1e3 * median(took)


def _novelty(log: Sequence[LogLine], summary: dict[str, float]) -> tuple[str, ...]:
    started = time.process_time()
    found = novelty(SplitLog(tuple(log), log[len(log) * 3 // 4].at))
    took = time.process_time() - started
    summary["novelty.seconds"] = took
    return (f"novelty over {len(log):,} lines", f"{took:.2f} CPU s, {len(found)} findings")


def _requests(seed: int, summary: dict[str, float]) -> tuple[str, ...]:
    """What mining an access log and counting its requests costs."""
    rng = random.Random(seed)
    log = [
        LogLine(float(i) / 100, f"service-{i % 20}", "", _ACCESS.format(
            ip=i % 250, n=rng.randrange(10_000), status=rng.choice((200, 200, 404, 504)), took=i % 9
        ))
        for i in range(_NOVELTY)
    ]  # fmt: skip
    split = SplitLog(tuple(log), log[_NOVELTY // 2].at)
    periods = periods_of(split, _TOLD)
    started = time.process_time()
    request_findings(tally(split, _TOLD.miner).requests, periods, _TOLD)
    took = time.process_time() - started
    summary["requests.seconds"] = took
    return (f"requests of {len(log):,} lines of an access log", f"{took:.2f} CPU s")


_TOLD = NoveltyConfig()
_ACCESS = (
    '10.0.0.{ip} - - [01/May/2024:10:00:00 +0000] "GET /api/orders/{n} HTTP/1.1" {status} 52 "-" '
    '"curl/8" 0.{took}'
)
_USERS = ("ann", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")
_MESSAGES = (
    ("INFO", "Received block blk_{big} of size {big} from /{ip}:{port}"),
    ("INFO", "took {small} ms to answer GET /api/v1/orders/{uuid}/items with status {small}"),
    (
        "WARN",
        "slow query ({small}.{small} s) on shard-{small}: SELECT from orders where id = {big}",
    ),
    ("ERROR", "Failed password for invalid user {user} from {ip} port {port} ssh2"),
    ("INFO", "session opened for user {user} by (uid={small})"),
    ("DEBUG", "cache hit key=session:{hex} ttl={small}s size={small} KB"),
    ("INFO", "Accepted connection from {ip}:{port} to node-{small}.rack{small}.example.com:443"),
    ("ERROR", "Could not reserve item {uuid}: java.net.SocketTimeoutException: Read timed out"),
    ("INFO", "writing checkpoint to /var/lib/store/shard{small}/segment-{big}.log ({small} MB)"),
    ("INFO", "state=ready queue={small} workers={small} leader=true epoch={big}"),
    ("WARN", "retry {small} of 5 for task attempt_{big}_{small}_m_{small}: connection reset"),
    ("INFO", "memory pressure {small} % heap {small}.{small} GB used, gc pause {small} ms"),
)
_HEADERS = (
    "2024-05-01 10:{minute}:{second},{milli} {level} [worker-{small}] c.a.s.Service: ",
    "May  1 10:{minute}:{second} host-{small} service[{port}]: ",
    "2024-05-01T10:{minute}:{second}.{milli}Z {level} ",
    "[Wed May 01 10:{minute}:{second} 2024] [{level}] ",
)


def made_up(count: int, seed: int, headers: bool) -> list[str]:
    """`count` lines of several formats, the same for the same seed: no recorded data is needed."""
    return list(islice(_lines(random.Random(seed), headers), count))


def _lines(rng: random.Random, headers: bool) -> Iterator[str]:
    while True:
        level, message = rng.choice(_MESSAGES)
        header = rng.choice(_HEADERS) if headers else ""
        yield (header + message).format(
            level=level,
            big=rng.randrange(10**9, 10**10),
            small=rng.randrange(1, 200),
            port=rng.randrange(1024, 65536),
            ip=".".join(str(rng.randrange(1, 255)) for _ in range(4)),
            uuid=f"{rng.getrandbits(32):08x}-5c1d-4b7e-9a53-{rng.getrandbits(48):012x}",
            hex=f"{rng.getrandbits(64):016x}",
            user=rng.choice(_USERS),
            minute=f"{rng.randrange(60):02d}",
            second=f"{rng.randrange(60):02d}",
            milli=f"{rng.randrange(1000):03d}",
        )
