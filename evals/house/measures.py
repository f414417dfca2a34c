"""Counts over the source itself: sizes, importers, names, literals, floors. Reads files, runs none.

What is counted, and why, stands in `docs/house.md`.
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGES = ("tools", "prompts", "knowledge_base", "copilot", "evals")
PRODUCT = ("tools", "copilot")

PLAIN = frozenset({0, 1, 2, 3, 4, 10, 100, 1000, 60, 3600, 86_400, 24, 0.5})
"""Numbers that need no source: counts, halves, units of time and powers of ten."""

SOURCED = re.compile(r"\bsource:|\bdocs/decisions/|\(\d{4}\)|RFC \d+", re.IGNORECASE)
"""A comment or docstring beside a number that says where it is from."""

PARTICIPLE = re.compile(
    r"^(?:[A-Z][a-z]+(?:ed|ing)|Said|Told|Held|Found|Seen|Shown|Known|Given|Made|Kept|Sent|Chosen"
    r"|Drawn|Written|Taken|Done|Gone|Met|Felt|Cut|Read|Heard|Meant|Built|Begun|Beside)$"
)
NOUNS = frozenset({"Done", "Finding", "Ranking", "String", "Setting", "Understanding"})
"""Words of that form that name a thing."""

BRANCHES = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, where it lies, its text."""

    name: str
    path: Path
    text: str

    @property
    def package(self) -> str:
        """The top-level package, such as `copilot`."""
        return self.name.partition(".")[0]

    @property
    def lines(self) -> int:
        """Lines of the file, comments and blank ones too."""
        return self.text.count("\n")

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @property
    def public_classes(self) -> list[str]:
        """Names of its module-level classes without a leading underscore."""
        return [
            node.name
            for node in self.tree.body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        ]


class House:
    """All modules of the packages below `root`, and who imports whom."""

    def __init__(self, root: Path) -> None:
        self.modules: dict[str, Module] = {}
        for package in PACKAGES:
            for path in sorted((root / package).rglob("*.py")):
                parts = path.relative_to(root).with_suffix("").parts
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                self.modules[name] = Module(name, path, path.read_text(encoding="utf-8"))
        self.imports: dict[str, set[str]] = {
            name: set(self._imported(module)) for name, module in self.modules.items()
        }

    def _imported(self, module: Module) -> Iterator[str]:
        """Modules of ours that `module` imports, by a statement or by `import_module("…")`."""
        for node in ast.walk(module.tree):
            for name in _names(node):
                if name in self.modules and name != module.name:
                    yield name

    def lines(self, *packages: str) -> int:
        """Lines of all files of these packages."""
        return sum(m.lines for m in self.modules.values() if m.package in packages)

    def with_one_importer(self) -> list[str]:
        """Modules that exactly one other module imports; packages' own files aside."""
        importers: dict[str, set[str]] = defaultdict(set)
        for name, targets in self.imports.items():
            for target in targets:
                importers[target].add(name)
        return sorted(
            name
            for name, module in self.modules.items()
            if len(importers[name]) == 1 and not module.path.stem.startswith("__")
        )

    def homonyms(self) -> dict[str, list[str]]:
        """Public class names of the product that more than one module defines."""
        where: dict[str, list[str]] = defaultdict(list)
        for module in self._product():
            for name in module.public_classes:
                where[name].append(module.name)
        return {name: places for name, places in sorted(where.items()) if len(places) > 1}

    def participles(self) -> list[str]:
        """Public classes of the product whose name is a bare participle."""
        return sorted(
            f"{module.name}.{name}"
            for module in self._product()
            for name in module.public_classes
            if PARTICIPLE.match(name) and name not in NOUNS
        )

    def imports_in_functions(self) -> list[str]:
        """`module:line` of every import statement inside a function."""
        return sorted(
            {
                f"{module.name}:{inner.lineno}"
                for module in self.modules.values()
                for node in ast.walk(module.tree)
                if isinstance(node, BRANCHES)
                for inner in ast.walk(node)
                if isinstance(inner, ast.Import | ast.ImportFrom)
            }
        )

    def literals(self) -> dict[str, int]:
        """Numbers without a source beside them, per folder of `tools`."""
        found: Counter[str] = Counter()
        for module in self.modules.values():
            if module.package == "tools":
                room = ".".join(module.name.split(".")[:2])
                found[room] += _literals_without_source(module)
        return dict(found.most_common())

    def floors(self, package: str = "copilot") -> list[list[str]]:
        """Entries of a package from the ground up; an entry imports only from floors below it.

        Raises `ValueError` where entries import each other in a circle.
        """
        arrows = self.arrows(package)
        floors: list[list[str]] = []
        while arrows:
            leaves = sorted(name for name, targets in arrows.items() if not targets)
            if not leaves:
                raise ValueError(f"{package} has a circle among {', '.join(sorted(arrows))}")
            floors.append(leaves)
            arrows = {n: t - set(leaves) for n, t in arrows.items() if n not in leaves}
        return floors

    def arrows(self, package: str = "copilot") -> dict[str, set[str]]:
        """Which entry of a package imports which; its `__init__` and `__main__` aside."""
        arrows: dict[str, set[str]] = {}
        for name, targets in self.imports.items():
            here = _entry(name, package)
            if here:
                there = {_entry(target, package) for target in targets}
                arrows.setdefault(here, set()).update(there - {here, ""})
        return arrows

    def _product(self) -> Iterator[Module]:
        return (module for module in self.modules.values() if module.package in PRODUCT)


def _entry(module: str, package: str) -> str:
    """The entry of `package` that a module belongs to; empty for others and for `__main__`."""
    parts = module.split(".")
    inside = parts[0] == package and len(parts) > 1 and parts[1] != "__main__"
    return parts[1] if inside else ""


def _names(node: ast.AST) -> Iterator[str]:
    """Dotted names that a node imports; of `from a import b` both `a.b` and `a`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield node.module
    elif isinstance(node, ast.Call) and _called(node.func) == "import_module" and node.args:
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield first.value


def _called(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def _literals_without_source(module: Module) -> int:
    """Numbers outside `PLAIN`, `Field(…)` and statements that name a source."""
    lines = module.text.splitlines()
    fields = {
        id(inner)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and _called(node.func) == "Field"
        for inner in ast.walk(node)
    }
    covered = _lines_with_source(module.tree, lines)
    return sum(
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
        and node.value not in PLAIN
        and id(node) not in fields
        and node.lineno not in covered
        for node in ast.walk(module.tree)
    )


def _lines_with_source(tree: ast.Module, lines: list[str]) -> set[int]:
    """Lines of statements with a source in a comment on them or in the docstring below them."""
    covered = {number for number, line in enumerate(lines, 1) if SOURCED.search(line)}
    bodies = [getattr(node, "body", []) for node in ast.walk(tree)]
    for body in bodies:
        if not isinstance(body, list):
            continue
        for statement, below in zip(body, body[1:], strict=False):
            if SOURCED.search(_text(below)):
                covered |= set(range(statement.lineno, (statement.end_lineno or 0) + 1))
    return covered


def _text(node: ast.stmt) -> str:
    """The text of a statement that is only a text, as a docstring is; empty for any other."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return str(node.value.value)
    return ""


def summary(house: House) -> Mapping[str, float]:
    """The figures that the test holds, by name."""
    literals = house.literals()
    return {
        "lines.tools+copilot": house.lines(*PRODUCT),
        "lines.all": house.lines(*PACKAGES),
        "modules": len(house.modules),
        "modules.one_importer": len(house.with_one_importer()),
        "homonyms": len(house.homonyms()),
        "participles": len(house.participles()),
        "imports_in_functions": len(house.imports_in_functions()),
        "copilot.entries": sum(map(len, house.floors())),
        "copilot.floors": len(house.floors()),
        **{f"literals.{room}": count for room, count in literals.items()},
    }


def drawing(house: House, package: str = "copilot") -> str:
    """The floors of a package as Mermaid, top floor first; arrows to the next floor below only."""
    floors = house.floors(package)
    level = {name: number for number, floor in enumerate(floors) for name in floor}
    rows = ["graph TD"]
    for number, floor in reversed(list(enumerate(floors, 1))):
        rows.append(f'  subgraph f{number}["floor {number}"]')
        rows += [f"    {name}" for name in floor]
        rows.append("  end")
    rows += [
        f"  {name} --> {target}"
        for name, targets in sorted(house.arrows(package).items())
        for target in sorted(targets)
        if level[target] == level[name] - 1
    ]
    return "\n".join(rows)
