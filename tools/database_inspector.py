"""Database inspector: what ails a database server, from the names and values of its metrics alone.

Names become signals by the words that servers and exporters share (MySQL, PostgreSQL, node
exporter). How far a signal moved is, from -1 (fell) to 1 (rose),

    move = Cliff's delta (now, usual) x min(1, |log2(mean now / mean usual)|)

(Cliff, Dominance statistics, 1993): apart in nearly every sample, and doubled or halved. A cause is
a few signals that have to rise or fall; it is as likely as they do so on average. What each rule
rests on: docs/decisions/slices.md; `python -m evals run database --data DIR`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from tools.types import (
    Finding,
    FloatArray,
    FrozenModel,
    Owner,
    Series,
    Telemetry,
    Text,
    Timestamp,
    Window,
)

DatabaseSignal = Literal[
    "latency", "commits", "own_cpu", "cpu_user", "cpu_system", "cpu_idle", "io_wait", "run_queue",
    "disk_writes", "sent", "received", "sessions", "lock_waiting", "lock_time", "rows_changed",
    "rows_scanned", "scans", "log_writes", "dirty_pages", "flushed_pages", "page_writes", "lookups",
]  # fmt: skip

_WORDS: tuple[tuple[DatabaseSignal, str], ...] = (
    ("lock_time", r"lock_wait_time|row_lock_time"),
    ("lock_waiting", r"current_lock_waits|lock_current_waits|locks_waiting"),
    ("latency", r"latenc|response_time|statement_duration"),
    ("commits", r"committed|xact_commit|com_commit|commits"),
    ("own_cpu", r"(?:dbms|mysqld?|postgres|pg)_(?:\w+_)?cpu"),
    ("cpu_user", r"cpu_(?:usr|user)"),
    ("cpu_system", r"cpu_sys"),
    ("cpu_idle", r"cpu_idle?"),
    ("io_wait", r"cpu_(?:io)?wai|io_?wait"),
    ("run_queue", r"processes_currently_running|procs_running|run_queue"),
    ("disk_writes", r"sector_writes|disk_written|disk_write_bytes"),
    ("sent", r"network_send|network_transmit|bytes_sent"),
    ("received", r"network_recv|network_receive|bytes_received"),
    ("sessions", r"threads_(?:running|connected)|numbackends|active_connections"),
    ("rows_scanned", r"rows_scanned|next_row_read|rnd_next|seq_tup_read|tup_returned"),
    ("scans", r"first_entry_read|read_first|seq_scan"),
    ("lookups", r"number_of_key_based_read|handler_read_key|idx_tup_fetch"),
    (
        "rows_changed",
        r"changed_rows|row_insert|rows_(?:changed|inserted|updated|deleted)|tup_inserted",
    ),
    ("log_writes", r"log_writes?_(?:mb|requests?)|(?:os_log|redo)_written|wal_(?:bytes|records)"),
    ("dirty_pages", r"current_dirty_pages|pages_dirty|buffers_dirty"),
    ("flushed_pages", r"flushed_pages|pages_flushed|buffers_(?:checkpoint|clean)"),
    ("page_writes", r"data_writes|page_writes_mb|pages_written"),
)
"""The first row that matches decides. Names of MySQL 8.4 Reference Manual, 7.1.10 Server Status
Variables; PostgreSQL 17, 27.2 Cumulative Statistics; node exporter. A total since the start
(`cum`, `since_boot`) is none of them."""

_TOTAL = re.compile(r"(?:^|_)cum_|since")

OWN: frozenset[DatabaseSignal] = frozenset(
    get_args(DatabaseSignal)[get_args(DatabaseSignal).index("sessions") :]
)
"""Signals that nothing but a database tells of itself."""

DatabaseCause = Literal[
    "poor query",  # statements that burn the server's own processor and commit no more
    "write amplification",  # more log and dirty pages for as many rows: too many indexes
    "workload spike",  # more sessions, so more of them wait for each other
    "I/O saturation",  # the disk is busy with what the server does not write
    "backup",  # everything is scanned and sent away, nothing is changed
    "restore",  # rows and log are written in bulk while clients commit less
    "CPU saturation",  # another program has the processor: the server's own share does not grow
    "flush",  # pages are flushed though fewer rows and less log are written
    "network congestion",  # less comes, goes and is written, and yet calls take longer
    "lock contention",  # sessions wait for locks, longer, and fewer commit
]

DatabaseRule = tuple[Sequence[DatabaseSignal], Sequence[DatabaseSignal]]

RULES: Mapping[DatabaseCause, DatabaseRule] = {
    "poor query": (("own_cpu", "cpu_user"), ("commits",)),
    "write amplification": (("dirty_pages", "flushed_pages", "log_writes"), ()),
    "workload spike": (("sessions", "lock_waiting"), ()),
    "I/O saturation": (("io_wait", "disk_writes"), ("page_writes",)),
    "backup": (("rows_scanned", "sent"), ("rows_changed",)),
    "restore": (("rows_changed", "log_writes"), ("commits",)),
    "CPU saturation": (("cpu_system", "run_queue"), ("cpu_idle",)),
    "flush": (("flushed_pages",), ("rows_changed", "log_writes")),
    "network congestion": (("latency",), ("sent", "received", "page_writes", "disk_writes")),
    "lock contention": (("lock_waiting", "lock_time"), ("commits",)),
}
"""What rises, and what falls, under each cause."""

STEADY: Mapping[DatabaseCause, DatabaseSignal] = {
    "CPU saturation": "own_cpu",
    "write amplification": "rows_changed",
}
"""What has to stay as it is, or the cause is another."""

SPEAKS = 0.5
"""Agreement from which on a cause is named: 97 of 100 abnormal windows reach it, 7 of 100 normal
ones. source: `python -m evals run database`, measured."""

MOVED = 0.3
"""Size from which on a move is one. source: docs/decisions/slices.md, best told when learned."""

FEWEST_OWN, FEWEST_POINTS = 4, 5
"""Signals of `OWN` without which a component is no database, and points that a past or a window
needs. source: by definition."""

FLOOR = 0.05
"""Share of the larger mean added to both: a signal may be silent. source: `tools.normal`."""

MOST_CAUSES, MOST_SIGNALS, LONGEST, LONGEST_NAME = 2, 4, 200, 80
"""Named in one sentence, and characters of a metric's and of a component's name. source: by
definition."""


class DatabaseDiagnosis(FrozenModel):
    """The causes in order, each with its agreement in [-1, 1], and how far each signal moved.

    Of all but the first it is that of the signals which the first does not explain.
    """

    causes: tuple[tuple[DatabaseCause, float], ...]
    moves: dict[DatabaseSignal, float]

    @property
    def signs(self) -> tuple[str, ...]:
        """`sessions up`: what moved, to be held against other incidents."""
        return tuple(
            f"{signal} {'up' if move > 0 else 'down'}"
            for signal, move in self.moves.items()
            if abs(move) >= MOVED
        )


@lru_cache(maxsize=4096)  # source: by definition, far more names than a server has
def signal(metric: str) -> DatabaseSignal | None:
    """Read what a metric of a database or its host tells, by its name; None: nothing we know.

    >>> signal("mysql_global_status_innodb_row_lock_current_waits"), signal("AvgCpuWai")
    ('lock_waiting', 'io_wait')
    """
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", metric[:LONGEST])
    name = re.sub(r"[^a-z0-9]+", "_", name.lower())
    if _TOTAL.search(name):
        return None
    return next((one for one, words in _WORDS if re.search(words, name)), None)


def diagnose(
    metrics: Iterable[tuple[str, FloatArray, FloatArray]],
) -> DatabaseDiagnosis | None:
    """Name what ails the server of these metrics: name, values now, usual values.

    None where too few of them are a database's own.
    """
    moves: dict[DatabaseSignal, list[float]] = defaultdict(list)
    for name, now, usual in metrics:
        told = signal(name)
        if told is not None and min(now.size, usual.size) >= FEWEST_POINTS:
            moves[told].append(_move(now, usual))
    if len(OWN & moves.keys()) < FEWEST_OWN:
        return None
    found: dict[DatabaseSignal, float] = {
        # Of a processor's cores the mean, of other metrics of one signal the one that moved most.
        one: float(np.mean(many)) if one.startswith("cpu") else max(many, key=abs)
        for one, many in moves.items()
    }
    agreement = {cause: _agreement(cause, found) for cause in RULES}
    first = max(agreement, key=lambda cause: agreement[cause])
    beside = {cause: _agreement(cause, found, RULES[first]) for cause in RULES if cause != first}
    ordered = sorted(beside.items(), key=lambda one: -one[1])
    return DatabaseDiagnosis(causes=((first, agreement[first]), *ordered), moves=found)


def _agreement(
    cause: DatabaseCause,
    moves: Mapping[DatabaseSignal, float],
    explained: DatabaseRule = ((), ()),
) -> float:
    """The mean of what rose and fell as the cause has it; what nobody measures tells nothing.

    What another cause has `explained`, moved as this one has it, is left out.
    """
    up, down = RULES[cause]
    own = [moves.get(one, 0.0) for one in up if one not in explained[0]]
    own += [-moves.get(one, 0.0) for one in down if one not in explained[1]]
    if cause in STEADY:
        own.append(1.0 - abs(moves[STEADY[cause]]) if STEADY[cause] in moves else 0.0)
    return sum(own) / len(own) if own else 0.0


def _move(now: FloatArray, usual: FloatArray) -> float:
    ordered = np.sort(usual)
    below = np.searchsorted(ordered, now, side="left")
    above = usual.size - np.searchsorted(ordered, now, side="right")
    delta = float((below - above).mean()) / usual.size
    means = max(float(now.mean()), 0.0), max(float(usual.mean()), 0.0)
    floor = FLOOR * max(means)
    if floor <= 0.0:
        return 0.0
    return delta * min(1.0, abs(float(np.log2((means[0] + floor) / (means[1] + floor)))))


def database_findings(telemetry: Telemetry, onset: Timestamp) -> list[Finding]:
    """What ails each database among the components since the onset: one finding, or none, each."""
    owned: dict[str, list[tuple[str, FloatArray, FloatArray]]] = defaultdict(list)
    usual = {one.name: one.values[np.isfinite(one.values)] for one in telemetry.baseline}
    for one in telemetry.series:
        if Owner.parse(one.owner).kind != "service" or signal(one.metric) is None:
            continue
        owned[one.owner].append((one.metric, *_split(one, onset, usual)))
    window = Window(start=onset, end=max(onset, telemetry.window.end))
    found = ((owner, diagnose(metrics)) for owner, metrics in owned.items())
    return [
        _finding(owner, one, window)
        for owner, one in found
        if one is not None and one.causes[0][1] >= SPEAKS
    ]


def _split(
    one: Series, onset: Timestamp, usual: Mapping[str, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    measured = np.isfinite(one.values)
    since = one.times >= onset
    before = one.values[measured & ~since]
    past = usual.get(one.name)
    if past is not None and before.size < FEWEST_POINTS:
        before = past
    return one.values[measured & since], before


def _finding(owner: str, one: DatabaseDiagnosis, window: Window) -> Finding:
    named = [cause for cause, agreement in one.causes[:MOST_CAUSES] if agreement >= SPEAKS]
    moved = sorted((s for s in one.moves if abs(one.moves[s]) >= MOVED),
                   key=lambda s: -abs(one.moves[s]))[:MOST_SIGNALS]  # fmt: skip
    said = _said(owner, named, [(s, one.moves[s] > 0) for s in moved])
    return Finding(
        kind="note",
        subject=owner,
        name="database",
        source="database inspector",
        query="signals: " + ", ".join(one.signs),
        window=window,
        onset=window.start,
        strength=one.causes[0][1],
        figures={name: move for name, move in one.moves.items() if abs(move) >= MOVED},
        statement=said.en,
        statement_zh=said.zh,
    )


def _said(
    owner: str, causes: Sequence[DatabaseCause], moved: Sequence[tuple[DatabaseSignal, bool]]
) -> Text:
    en = ", ".join(f"{s.replace('_', ' ')} {'up' if up else 'down'}" for s, up in moved)
    zh = "、".join(f"{_SIGNALS_ZH[s]}{'上升' if up else '下降'}" for s, up in moved)
    return Text(
        en=f"{owner[:LONGEST_NAME]} behaves as under {' and '.join(causes)}: {en}",
        zh=f"{owner[:LONGEST_NAME]} 的表现符合{'与'.join(_CAUSES_ZH[one] for one in causes)}:{zh}",
    )


_CAUSES_ZH: Mapping[DatabaseCause, str] = {
    "poor query": "低效查询", "write amplification": "写放大(索引过多)",
    "workload spike": "负载突增", "I/O saturation": "磁盘 I/O 饱和", "backup": "备份",
    "restore": "数据恢复/导入", "CPU saturation": "CPU 被其他程序占满", "flush": "刷盘",
    "network congestion": "网络拥塞", "lock contention": "锁争用",
}  # fmt: skip

_SIGNALS_ZH: Mapping[DatabaseSignal, str] = {
    "latency": "响应时间", "commits": "提交数", "own_cpu": "数据库 CPU", "cpu_user": "用户态 CPU",
    "cpu_system": "内核态 CPU", "cpu_idle": "空闲 CPU", "io_wait": "I/O 等待",
    "run_queue": "运行队列", "disk_writes": "磁盘写入", "sent": "发送流量", "received": "接收流量",
    "sessions": "会话数", "lock_waiting": "锁等待数", "lock_time": "锁等待时间",
    "rows_changed": "行变更", "rows_scanned": "行扫描", "scans": "全表扫描",
    "log_writes": "日志写入", "dirty_pages": "脏页", "flushed_pages": "刷页",
    "page_writes": "页写入", "lookups": "索引查找",
}  # fmt: skip
