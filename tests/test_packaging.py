"""The wheel holds all it needs: installed elsewhere and run from `/`, the demo works."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    return next(out.glob("*.whl"))


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


def test_the_installed_wheel_runs_the_demo_from_the_root_folder(
    wheel: Path, tmp_path: Path
) -> None:
    # The environment is new but for the dependencies, which are lent by a path file.
    venv.create(tmp_path / "venv", with_pip=False)
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(lent), encoding="utf-8")
    run = subprocess.run(
        [
            tmp_path / "venv/bin/python",
            "-m",
            "copilot",
            "--data-dir",
            tmp_path / "d",
            "demo",
            "--yes",
        ],
        cwd="/",
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "recovered" in run.stdout
