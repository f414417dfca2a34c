"""What is deployed: files by their hashes, objects that a cluster takes, settings that exist."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import copilot
from copilot.settings import Settings

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
STANDARD = ("mcp", "notify", "oidc", "otlp", "postgres")


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("requirements.lock", STANDARD),
        ("requirements-full.lock", (*STANDARD, "kubernetes", "openai")),
    ],
)
def test_a_lock_holds_all_that_is_required_by_hash(lock: str, extras: tuple[str, ...]) -> None:
    text = (DEPLOY / lock).read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", text, re.MULTILINE))
    lines = [*PROJECT["dependencies"]]
    lines += [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    stale = [
        line
        for line in lines
        for wanted in (Requirement(line),)
        if not wanted.specifier.contains(pinned.get(canonicalize_name(wanted.name), "0"))
    ]
    assert stale == [], "make lock"
    hashed = re.findall(r"^[a-z0-9-]+==[^\n]*\\\n +--hash=sha256:", text, re.MULTILINE)
    assert len(hashed) == len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE))


def objects() -> Iterator[dict[str, Any]]:
    text = (DEPLOY / "kubernetes/copilot.yaml").read_text(encoding="utf-8")
    yield from yaml.safe_load_all(text)


@pytest.mark.parametrize("manifest", [*objects()], ids=lambda one: one["kind"])
def test_an_object_has_no_field_that_a_cluster_does_not_know(manifest: dict[str, Any]) -> None:
    # The official client reads into models of the API's schema, which drop what they do not know.
    api = client.ApiClient(client.Configuration())
    model = f"V1{manifest['kind']}"
    read = api.deserialize(json.dumps(manifest), model, "application/json")
    assert api.sanitize_for_serialization(read) == manifest  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*")), ids=lambda one: one.name)
def test_every_setting_that_is_set_exists(path: Path) -> None:
    if path.is_dir() or path.suffix == ".lock":
        return
    named = set(re.findall(r"\bCOPILOT_([A-Z0-9_]+[A-Z0-9])\b", path.read_text(encoding="utf-8")))
    assert {one.lower() for one in named} <= set(Settings.model_fields)


def test_the_image_is_of_this_version() -> None:
    text = (DEPLOY / "kubernetes/kustomization.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["images"][0]["newTag"] == copilot.__version__
