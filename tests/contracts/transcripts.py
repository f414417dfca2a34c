"""Transcripts of a command line and of HTTP, as in cram: what is typed, then what is answered.

`# name` begins a case, `$ amtool …` runs the program, `> METHOD path [JSON]` is a request; the
lines below are the answer, `[1]` the exit code where it is not 0. Identifiers and times are named
in the order in which they appear: `<id1>` may be typed again. NAME stands for a name of the case's
own. `~` instead of `$` compares the exit code alone, where one version's words are no contract.
"""

import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_EXIT = re.compile(r"^\[\d+\]$", re.MULTILINE)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)")
_SAME = (
    (re.compile(r'"mutedBy":\[\],'), ""),  # since 0.28
    (re.compile("silence invalid:"), "invalid silence:"),  # before 0.27
    (re.compile(r"(failed, because|error parsing regexp:) .*?(?=\"(}|$))"), r"\1 <reason>"),
    (re.compile(r"but \[.*?\] are"), "but <methods> are"),
    (re.compile(r'"[0-9a-f]{16}"'), '"<fingerprint>"'),
)
"""What differs between versions of Alertmanager itself, or in the words of a parser."""

TRIES, PAUSE_S = 200, 0.05


@dataclass(frozen=True)
class Step:
    """One thing typed, and the answer; `loose` where only the exit code is compared."""

    typed: str
    answer: str
    loose: bool = False

    @property
    def reads(self) -> bool:
        """Whether it may be repeated until what was written before has been taken in."""
        return self.typed.startswith("> GET") or " query" in self.typed or " show" in self.typed


@dataclass(frozen=True)
class Transcript:
    """A case: its name and its steps in order."""

    name: str
    steps: tuple[Step, ...]


@dataclass
class Peer:
    """Who is spoken to, and the identifiers it gave so far in this case."""

    url: str
    amtool: str
    home: Path
    label: str = ""
    token: str = ""
    ids: list[str] = field(default_factory=list)

    def answer(self, step: Step) -> str:
        """What it answers, times and identifiers named; reads wait for the answer awaited."""
        for _ in range(TRIES if step.reads else 1):
            said = self._once(step)
            if said == step.answer:
                break
            time.sleep(PAUSE_S)
        return said

    def _once(self, step: Step) -> str:
        typed = step.typed[2:].replace("NAME", self.label)
        for number, known in enumerate(self.ids, 1):
            typed = typed.replace(f"<id{number}>", known)
        said = self._asked(typed) if step.typed.startswith(">") else self._run(typed)
        if step.loose:
            return "".join(_EXIT.findall(said))
        return self._plain(said)

    def _run(self, typed: str) -> str:
        command, _, source = typed.partition(" < ")
        given = (self.home / source).read_text() if source else None
        command, _, target = command.partition(" > ")
        arguments = [self.amtool, f"--alertmanager.url={self.url}", "--no-version-check"]
        if self.token:
            config = self.home / "http.yml"
            config.write_text(f"authorization: {{credentials: {self.token}}}\n", encoding="utf-8")
            arguments.append(f"--http.config.file={config}")
        run = subprocess.run(
            [*arguments, *shlex.split(command)[1:]],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.home,
        )
        if target:
            (self.home / target).write_text(run.stdout)
        lines = [] if target else [re.sub(r" {2,}", "  ", line).rstrip() for line in _lines(run)]
        return "\n".join([*lines, *([f"[{run.returncode}]"] if run.returncode else [])])

    def _asked(self, typed: str) -> str:
        method, path, *body = typed.split(" ", 2)
        sent = body[0].encode() if body else None
        with httpx.Client(base_url=self.url, trust_env=False) as client:
            headers = {"content-type": "application/json"} if sent is not None else {}
            headers |= {"authorization": f"Bearer {self.token}"} if self.token else {}
            got = client.request(method, path, content=sent, headers=headers)
        media = got.headers.get("content-type", "").partition(";")[0]
        text = got.text.strip()
        if media == "application/json":
            text = json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
        if method == "HEAD":
            return str(got.status_code)
        return f"{got.status_code} {media} {text}".replace("  ", " ").rstrip()

    def _plain(self, said: str) -> str:
        for found in _ID.findall(said):
            if found not in self.ids:
                self.ids.append(found)
        for number, known in enumerate(self.ids, 1):
            said = said.replace(known, f"<id{number}>")
        said = _TIME.sub("<time>", said)
        for pattern, same in _SAME:
            said = pattern.sub(same, said)
        for name in ("copilot", "no"):
            said = said.replace(f'{{"name":"{name}"}}', '{"name":"<receiver>"}')
        return said.replace(self.label, "NAME") if self.label else said


def _lines(run: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]


def read(path: Path) -> Iterator[Transcript]:
    """The cases of a file."""
    for text in re.split(r"^# ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        name, _, rest = text.partition("\n")
        parts = re.split(r"^(?=[$>~] )", rest, flags=re.MULTILINE)[1:]
        yield Transcript(name.strip(), tuple(map(_step, parts)))


def _step(text: str) -> Step:
    typed, _, answer = text.strip("\n").partition("\n")
    return Step(typed, answer.strip("\n"), loose=typed.startswith("~"))
