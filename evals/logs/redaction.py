"""The redactor, measured: shapes of secrets in four wrappings, and ordinary lines it must leave.

`python -m evals bench redaction [--data DIR]`. The shapes stand in
`secret_shapes.txt`, filled by chance; the ordinary lines are made up from a seed in the layouts
that loggers write, and with `--data` those of its `logs/` are read beside them.
"""

import base64
import json
import random
import re
import string
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from urllib.parse import quote, unquote

from rich.progress import Progress

import copilot
from evals.logs.files import read_logs
from evals.report import Options, Result, Table, number
from tools.log_retriever import redact

LINES = 1_000_000
"""So many ordinary lines are tried."""

_FILL = re.compile(r"\{(hex|HEX|alnum|upper|lower|digits|b64|url|word):(\d+)\}")
_LETTERS = {
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "alnum": string.ascii_letters + string.digits,
    "upper": string.ascii_uppercase + "234567",
    "lower": string.ascii_lowercase,
    "digits": string.digits,
    "b64": string.ascii_letters + string.digits + "+/",
    "url": string.ascii_letters + string.digits + "-_",
    "word": string.ascii_letters + string.digits,
}


@dataclass(frozen=True, slots=True)
class SecretShape:
    """A text with a secret in it."""

    name: str
    text: str
    secret: str


def shapes(rng: random.Random) -> Iterator[SecretShape]:
    """Every shape of the table, its secret made up anew."""
    table = files("evals.logs").joinpath("secret_shapes.txt").read_text(encoding="utf-8")
    for row in table.splitlines():
        if row and not row.startswith("#"):
            name, _, marked = row.partition(" | ")
            filled = _FILL.sub(lambda m: _filled(m[1], int(m[2]), rng), marked)
            before, _, rest = filled.replace("\\n", "\n").partition("«")
            secret, _, after = rest.partition("»")
            yield SecretShape(name, before + secret + after, secret)


def _filled(kind: str, count: int, rng: random.Random) -> str:
    letters = rng.choices(_LETTERS[kind], k=count)
    if kind == "word":  # what people and generators take: letters with digits
        letters[1], letters[-2] = rng.choice(string.digits), rng.choice(string.digits)
        letters[0] = rng.choice(string.ascii_letters)
    if kind in ("b64", "url"):
        letters[0], letters[-1] = rng.choice(string.ascii_letters), rng.choice(string.ascii_letters)
    return "".join(letters)


WRAPPINGS: dict[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "plain": (str, str),
    "JSON": (
        lambda text: json.dumps({"level": "info", "message": text}),
        lambda line: json.loads(line)["message"],
    ),
    "escaped JSON": (
        lambda text: json.dumps({"log": json.dumps({"message": text}), "stream": "stdout"}),
        lambda line: json.loads(json.loads(line)["log"])["message"],
    ),
    "URL": (
        lambda text: f"GET /search?q={quote(text, safe='')}&page=2 200",
        lambda line: unquote(line).removeprefix("GET /search?q=").removesuffix("&page=2 200"),
    ),
}
"""How a text is put into a line, and taken out of it again."""


def leaks(shape: SecretShape, wrapping: str) -> bool:
    """Whether the secret, or a half of it, can be read after redaction."""
    wrap, _ = WRAPPINGS[wrapping]
    line = redact(wrap(shape.text))
    half = max(len(shape.secret) // 2, 4)
    wanted = (shape.secret[:half], shape.secret[-half:])
    readings = (line, unquote(line), line.replace("\\", ""))
    return any(part in reading for part in wanted for reading in readings)


def ordinary(rng: random.Random) -> Iterator[str]:
    """Lines as services, proxies, kernels and clusters write them, without end."""
    table = files("evals.logs").joinpath("ordinary_lines.txt").read_text(encoding="utf-8")
    _, layouts, messages = re.split(r"^#.*\n", table, flags=re.MULTILINE)
    while True:
        message = _made(rng.choice(messages.splitlines()), rng)
        layout = _made(rng.choice(layouts.splitlines()), rng)
        yield _put(message, layout)


_PIECES: dict[str, Callable[[random.Random], str]] = {
    "n": lambda r: str(r.randrange(1000)),
    "ms": lambda r: str(r.randrange(100_000)),
    "status": lambda r: r.choice(("200", "404", "500", "503")),
    "ip": lambda r: ".".join(str(r.randrange(256)) for _ in range(4)),
    "port": lambda r: str(r.randrange(1024, 65_536)),
    "bytes": lambda r: str(r.randrange(10**7)),
    "big": lambda r: str(r.randrange(10**17, 10**18)),
    "eleven": lambda r: str(r.randrange(10**10, 2 * 10**10)),
    "ns": lambda r: str(1_795_960_000_000_000_000 + r.randrange(10**15)),
    "msts": lambda r: str(1_795_960_000_000 + r.randrange(10**9)),
    "uuid": lambda r: "-".join(_filled("hex", n, r) for n in (8, 4, 4, 4, 12)),
    "hex10": lambda r: _filled("hex", 10, r),
    "hex16": lambda r: _filled("hex", 16, r),
    "hex32": lambda r: _filled("hex", 32, r),
    "hex40": lambda r: _filled("hex", 40, r),
    "hex64": lambda r: _filled("hex", 64, r),
    "at": lambda r: f"2026-11-30T01:{r.randrange(10, 60)}:{r.randrange(10, 60)}.{r.randrange(999)}",
    "h2": lambda r: _filled("hex", 2, r),
    "b20": lambda r: _filled("alnum", 20, r),
    "b43": lambda r: base64.b64encode(r.randbytes(32)).decode().rstrip("="),
}
_SLOT = re.compile(r"\{(" + "|".join(sorted(_PIECES, key=len, reverse=True)) + r")\}")


_WRITTEN: dict[str, Callable[[str], str]] = {
    "m": str,
    "json m": lambda message: json.dumps(message, ensure_ascii=False),
    "json json m": lambda message: json.dumps(json.dumps({"level": "info", "message": message})),
    "url m": lambda message: quote(message[:60]),
}
_PUT = re.compile(r"\{((?:json |url ){0,2}m)\}")


def _put(message: str, layout: str) -> str:
    return _PUT.sub(lambda m: _WRITTEN[m[1]](message), layout)


def _made(template: str, rng: random.Random) -> str:
    return _SLOT.sub(lambda m: _PIECES[m[1]](rng), template)


def run(options: Options, progress: Progress) -> Result:
    """Shares of shapes found and of ordinary lines touched, and lines per CPU second."""
    started = time.perf_counter()
    rng = random.Random(options.seed)
    table = list(shapes(rng))
    missed = {name: [s.name for s in table if leaks(s, name)] for name in WRAPPINGS}
    found = 1 - sum(map(len, missed.values())) / (len(table) * len(WRAPPINGS))
    rows = [_touched(f"made up, {LINES:,}", islice(ordinary(rng), LINES), progress)]
    if options.data is not None:
        rows += [_touched(one.system, one.raw, progress) for one in read_logs(options.data)]
    more = {"shapes.count": float(len(table)), "shapes.found": found}
    more |= {"ordinary.touched": rows[0][1], "lines_per_cpu_s": rows[0][2]}
    return Result(
        suite="bench-redaction",
        version=copilot.__version__,
        data=str(options.data or "made up"),
        seconds=time.perf_counter() - started,
        summary={},
        more=more,
        tables=(
            Table(
                title=f"{len(table)} shapes of secrets, found in each wrapping",
                columns=("wrapping", "found", "not found"),
                rows=tuple(
                    (name, number(1 - len(names) / len(table)), ", ".join(names) or "-")
                    for name, names in missed.items()
                ),
            ),
            Table(
                title="Ordinary lines",
                columns=("of", "touched", "lines per CPU second", "for example"),
                rows=tuple(
                    (name, f"{touched:.4%}", f"{speed:,.0f}", example[:100])
                    for name, touched, speed, example in rows
                ),
            ),
        ),
    )


def _touched(name: str, lines: Iterable[str], progress: Progress) -> tuple[str, float, float, str]:
    task = progress.add_task(name, total=None)
    seconds, count, touched, example = 0.0, 0, 0, ""
    for line in lines:
        before = time.process_time()
        shown = redact(line)
        seconds += time.process_time() - before
        count += 1
        if shown != line:
            touched, example = touched + 1, example or shown
        if count % 10_000 == 0:
            progress.update(task, completed=count)
    progress.remove_task(task)
    return name, touched / max(count, 1), count / max(seconds, 1e-9), example
