"""Writes docs/licences.md: the licence of each package that the image installs; by `make lock`."""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent


def pinned() -> list[str]:
    """The names in the lock of the full image."""
    text = (ROOT / "deploy" / "requirements-full.lock").read_text(encoding="utf-8")
    return list(dict.fromkeys(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)))


def licence(package: str) -> str:
    """What a package says of itself: an SPDX expression, else its classifiers, else a line."""
    try:
        told = metadata(package)
    except PackageNotFoundError:
        return "not installed here: of another system"
    if expression := told.get_all("License-Expression"):
        return str(expression[0])
    classifiers = [one.split(" :: ") for one in told.get_all("Classifier") or ()]
    named = [one[-1] for one in classifiers if one[0] == "License"]
    said = told.get_all("License") or ["not said"]
    return ", ".join(named) or str(said[0]).strip().splitlines()[0]


def page() -> str:
    """The page, a row per package."""
    rows = [f"| {name} | {licence(name)} |" for name in pinned()]
    head = ["# Dependencies' licences", "", "Written by `make lock` from what the packages say."]
    return "\n".join([*head, "", "| package | licence |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    (ROOT / "docs" / "licences.md").write_text(page(), encoding="utf-8")
    sys.stderr.write("wrote docs/licences.md\n")
