"""What the documents say is what the code does."""

import re
import runpy
from pathlib import Path

import pytest

from prompts import LANGUAGES, load, names

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def generated_cli() -> str:
    page: str = runpy.run_path(str(ROOT / "docs" / "generate.py"))["cli_page"]()
    return page


def test_generated_pages_are_as_the_code_writes_them() -> None:
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    stale = [
        str(path.relative_to(ROOT))
        for path, text in generate["pages"]().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run: make docs"


def test_readme_names_only_commands_that_exist() -> None:
    known = set(re.findall(r"^## copilot ([a-z]+)", generated_cli(), re.MULTILINE))
    named = set(re.findall(r"^\s*(?:\.venv/bin/)?copilot ([a-z]+)", README, re.MULTILINE))
    assert named
    assert named <= known


def test_readme_names_only_make_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", README))
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/benchmarks.md"])
def test_every_file_a_document_points_to_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    pointed = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    missing = [
        target for target in pointed if not (ROOT / document).parent.joinpath(target).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("name", names())
def test_every_text_ships_in_both_languages_with_the_same_variables(name: str) -> None:
    taken = {load(name, language).variables for language in LANGUAGES}
    assert len(taken) == 1
