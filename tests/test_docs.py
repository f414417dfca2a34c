"""What the documents say is what the code does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import generate, licences
from docs.result_tables import TABLES
from evals.lab.cli import lab
from evals.registry import BENCHMARKS, SUITES, TRAININGS
from prompts import LANGUAGES, load, names

ROOT = Path(__file__).parent.parent
PAGES = [
    *("README.md", "CONTRIBUTING.md"),
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("**/*.md"))),
]
EVALS = {
    "run": {"all", *SUITES},
    "bench": set(BENCHMARKS),
    "train": set(TRAININGS),
    "lab": {one.name or one.callback.__name__ for one in lab.registered_commands if one.callback},
}


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_generated_pages_are_as_the_code_writes_them() -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in generate.pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "run: make docs"


def test_the_benchmarks_hold_every_table_of_results() -> None:
    page = read("docs/benchmarks.md")
    assert {name for name in TABLES if f"<!-- {name} -->" not in page} == set()


def test_the_benchmarks_stay_readable() -> None:
    lines = read("docs/benchmarks.md").splitlines()
    assert len(lines) <= 320
    assert max(map(len, lines)) <= 400


def test_readme_fits_a_few_screens() -> None:
    assert len(read("README.md").splitlines()) <= 130


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_only_evals_that_exist(page: str) -> None:
    named = re.findall(r"python -m evals ([a-z]+) ([a-z][a-z-]*)", read(page))
    assert [" ".join(one) for one in named if one[1] not in EVALS[one[0]]] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_a_page_points_to_exists(page: str) -> None:
    pointed = re.findall(r"\]\((?!https?:|#)([^)#]+)", read(page))
    missing = [one for one in pointed if not (ROOT / page).parent.joinpath(one).exists()]
    assert missing == []


def test_the_security_review_names_tests_that_exist_for_each_of_both_top_tens() -> None:
    page = read("docs/security-review.md")
    rows = re.findall(r"^\| ((?:LLM|ASI)\d\d) .*\|([^|]*)\|$", page, re.MULTILINE)
    assert [risk for risk, _ in rows] == [
        *(f"LLM{number:02}" for number in range(1, 11)),
        *(f"ASI{number:02}" for number in range(1, 11)),
    ]
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    for risk, tests in rows:
        named = set(re.findall(r"`(test_\w+\.py)`", tests))
        assert named, risk
        assert named <= there, risk


def test_every_package_that_an_image_installs_has_its_licence_on_the_page() -> None:
    listed = set(re.findall(r"^\| ([a-z0-9-]+) \| .", read("docs/licences.md"), re.MULTILINE))
    assert set(licences.pinned()) - listed == set(), "make lock"


@pytest.mark.parametrize("name", names())
def test_every_text_ships_in_both_languages_with_the_same_variables(name: str) -> None:
    taken = {load(name, language).variables for language in LANGUAGES}
    assert len(taken) == 1


@pytest.mark.integration
def test_the_site_is_built_without_a_broken_link_and_asks_for_nothing_outside(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path)]
    built = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True
    )
    assert built.returncode == 0, built.stderr.decode()
    pages = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")]
    assert len(pages) > 60
    loaded = re.compile(r'<(?:script|img|link rel="stylesheet")[^>]+(?:src|href)="?https?:')
    assert [found for page in pages for found in loaded.findall(page)] == []
