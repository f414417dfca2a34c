"""Every command that a page shows is one that the programs take; the cheap ones are run."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from copilot.surfaces.cli import app
from docs import prompts, site_pages, transcripts

ROOT = Path(__file__).parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    if path.parent.name != "diary" and path.name != "CHANGELOG.md"
}
PAGES |= {f"senders/{title}": site_pages.sender_page(title, "") for title in site_pages.senders()}
PROGRAM = get_command(app)
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))

# What changes nothing, asks nobody and is quick.
RUN = re.compile(
    r"copilot (--version|graph|doctor|incidents|alerts severities|playbook list|db check|users list"
    r"|tokens list|journal verify|playbook show rollback( --lang zh)?)"
)

_LINE = re.compile(
    r"^\s*(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?((?:copilot|python -m|make) .+)$", re.M
)
_INLINE = re.compile(r"`((?:copilot|python -m|make) [^`\n]+)`")


def commands(text: str) -> set[str]:
    """What is shown as a command: lines of code blocks, and code in a sentence."""
    blocks = re.findall(r"^```(?:sh|bash|text)?\n(.*?)^```", text, re.M | re.S)
    blocks += re.findall(r"^(?: {4}|\t).*$", text, re.M)
    shown = [line for block in blocks for line in _LINE.findall(block)]
    shown += _INLINE.findall(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    parts = [
        part.strip()
        for line in shown
        for part in re.split(r"\s*(?:;|\|\||&&|\|| > | >> )\s*", line)
    ]
    return {part for part in parts if re.match(r"(copilot|python -m|make) ", part)}


def words(command: str) -> list[str]:
    try:
        return shlex.split(command, comments=True)
    except ValueError:  # an apostrophe of the sentence around it
        return command.partition(" #")[0].split()


def wrong(command: str) -> str:
    """What is wrong with a command; empty: nothing."""
    program, *rest = words(command)
    if program == "make":
        asked = [word for word in rest if "=" not in word]
        return "" if set(asked) <= TARGETS else "no such target"
    if program == "python":
        module = rest[1]
        return "" if find_spec(module.partition(" ")[0]) else "no such module"
    return unknown(PROGRAM, rest)


def unknown(command: Any, rest: list[str]) -> str:
    """The first option or subcommand that the parser of the program does not know."""
    options = options_of(command)
    while rest:
        word, *rest = rest
        if word.startswith("--") and len(word) > 2:
            name, _, value = word.partition("=")
            if name not in options:
                return f"no option {name}"
            if options[name] and not value:
                rest = rest[1:]
        elif isinstance(command, TyperGroup) and re.fullmatch("[a-z][a-z-]*", word):
            if word not in command.commands:
                return f"no command {word}"
            command = command.commands[word]
            options |= options_of(command)
    return ""


def options_of(command: Any) -> dict[str, bool]:
    """The options of a command, and whether a value follows."""
    found = {"--help": False}
    for one in command.params:
        if one.param_type_name == "option":
            found |= dict.fromkeys([*one.opts, *one.secondary_opts], not one.is_flag)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_only_commands_that_exist(page: str) -> None:
    told = {one: why for one in sorted(commands(PAGES[page])) if (why := wrong(one))}
    assert told == {}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("copilot incidentz", "no command incidentz"),
        ("copilot approve ID --becuase x", "no option --becuase"),
        ("copilot users add anna --role approver", ""),
        ("copilot --server https://example login", ""),
        ("make demos", "no such target"),
        ("python -m evalz run", "no such module"),
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str, why: str) -> None:
    assert wrong(command) == why


@pytest.mark.integration
def test_the_cheap_commands_of_the_pages_work() -> None:
    shown = {" ".join(words(one)) for text in PAGES.values() for one in commands(text)}
    cheap = sorted(one for one in shown if RUN.fullmatch(one))
    assert len(cheap) >= 5
    failed = {
        one: result.output
        for one in cheap
        if (result := CliRunner().invoke(app, words(one)[1:])).exit_code not in (0, 1)
    }
    assert failed == {}


@pytest.mark.integration
def test_the_transcripts_are_what_the_chat_answers() -> None:
    assert transcripts.page() == transcripts.PAGE.read_text(encoding="utf-8"), (
        "python -m docs.transcripts"
    )


@pytest.mark.integration
def test_the_sizes_of_prompts_and_the_verdicts_on_sentences_are_those_told() -> None:
    assert prompts.page() == prompts.PAGE.read_text(encoding="utf-8"), "python -m docs.prompts"
