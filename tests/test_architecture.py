"""The import rules of the house: each failure names the file, the line and the rule."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "tools": {"tools"},
    "prompts": {"prompts"},
    "knowledge_base": {"knowledge_base", "tools"},
    "copilot": {"copilot", "knowledge_base", "prompts", "tools"},
    "evals": {"copilot", "evals", "knowledge_base", "prompts", "tools"},
}
OURS = {*MAY_IMPORT, "tests"}
VENDORS = {
    "apprise",
    "chromadb",
    "kubernetes",
    "ollama",
    "openai",
    "prometheus_client",
    "sentence_transformers",
    "torch",
}
SOURCES = sorted(path for package in MAY_IMPORT for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> list[tuple[int, str]]:
    """Every module a file imports, with its line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; name the package"
            found.append((node.lineno, node.module or ""))
    return found


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_imports_point_down(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {package} must not import {name}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, name in imported(path)
        if name.partition(".")[0] in OURS - MAY_IMPORT[package]
    ]
    assert wrong == []


def test_nothing_is_imported_inside_a_function() -> None:
    hidden = [
        f"{path.relative_to(ROOT)}:{inner.lineno} in {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom) and path.stem != "wiring"
    ]
    assert hidden == []


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """The modules of ours that a file imports; `from package import module` means the module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & known or {node.module or ""}
    return (found & known) - {module_name(path)}


def test_modules_import_each_other_in_no_circle() -> None:
    names = {module_name(path): path for path in SOURCES}
    arrows = {name: imported_modules(path, set(names)) for name, path in names.items()}
    while leaves := {name for name, targets in arrows.items() if not targets}:
        arrows = {name: t - leaves for name, t in arrows.items() if name not in leaves}
    assert arrows == {}


ADAPTERS = {
    "alerts.formats",
    "hands.command",
    "hands.http",
    "hands.kubernetes",
    "hands.kubernetes_client",
    "hands.settings_file",
    "knowledge.chroma",
    "knowledge.cross_encoder",
    "knowledge.model_cache",
    "knowledge.ollama_embed",
    "knowledge.sentence_transformers",
    "model.ollama",
    "model.openai_api",
    "sources.alertmanager",
    "sources.clock",
    "sources.elasticsearch",
    "sources.facts",
    "sources.json_api",
    "sources.kubernetes",
    "sources.loki",
    "sources.otlp",
    "sources.prometheus",
    "sources.recorded",
    "surfaces.notify.apprise_sender",
    "surfaces.notify.webhook",
}
"""What speaks to one thing outside the process; each implements ports and is chosen by wiring."""


def is_adapter(module: str) -> bool:
    return any(
        module == f"copilot.{name}" or module.startswith(f"copilot.{name}.") for name in ADAPTERS
    )


def test_only_adapters_and_the_service_know_vendors() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in SOURCES
        if path.is_relative_to(ROOT / "copilot")
        and not is_adapter(module_name(path))
        and not path.is_relative_to(ROOT / "copilot" / "surfaces" / "service")
        for line, name in imported(path)
        if name.partition(".")[0] in VENDORS
    ]
    assert wrong == []


def test_the_case_the_store_and_what_they_stand_on_know_no_adapter() -> None:
    blind = [ROOT / "copilot" / name for name in ("types", "store", "case", "ports.py", "deps.py")]
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in SOURCES
        if any(path == place or path.is_relative_to(place) for place in blind)
        for line, name in imported(path)
        if is_adapter(name)
    ]
    assert wrong == []


def test_files_and_functions_stay_of_a_size_that_can_be_read() -> None:
    long = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > 400:
            long.append(f"{path.relative_to(ROOT)}: {text.count(chr(10))} lines, 400 is the limit")
        long += [
            f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} is too long"
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno > 80
        ]
    assert long == []
