"""What a suite or a benchmark returns: the JSON of the published numbers, and tables to look at."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue
from rich.console import Console
from rich.table import Table as RichTable

from tools.types import FrozenModel

EvalArm = Literal["rules", "ml", "llm"]


class Options(FrozenModel):
    """What every suite, benchmark and training takes; a suite of more options extends it.

    `best_arm`: nobody chose an arm; a suite with a better one than `arm` takes that.
    """

    data: Path | None = None
    arm: EvalArm = "rules"
    best_arm: bool = False
    limit: int | None = Field(default=None, ge=1)
    plot: Path | None = None
    seed: int = 0


def ml_or_rules(options: Options, suite: str) -> EvalArm:
    """The asked arm of a suite whose better one is `ml`, and which asks no model."""
    if options.arm == "llm":
        raise SystemExit(f"{suite} has no llm arm: choose --arm rules or --arm ml")
    return "ml" if options.best_arm else options.arm


class ModelOptions(Options):
    """Of a suite with an arm `llm`: the model that is asked."""

    model_url: str = Field(default="", description="Ollama's address, for the arm llm.")
    model: str = Field(default="", description="The model's name there, for the arm llm.")


class Table(FrozenModel):
    """Rows for a person. A peer's row says `measured` or `published` in its name."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Result(FrozenModel):
    """The outcome of one suite.

    `summary` holds the published keys and no other (`evals.keys`), NaN where there was nothing to
    measure; `more` holds further figures of ours.
    """

    suite: str
    arm: EvalArm = "rules"
    version: str
    data: str = ""
    seconds: float
    cases: tuple[dict[str, JsonValue], ...] = ()
    summary: dict[str, float] = Field(default_factory=dict)
    more: dict[str, float] = Field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    notes: dict[str, JsonValue] = Field(default_factory=dict)

    def to_json(self) -> str:
        """The published JSON: everything but the tables; what is not finite is null."""
        document = finite(self.model_dump(mode="json", exclude={"tables"}))
        return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)


def finite(value: JsonValue) -> JsonValue:
    """The same document with null for NaN and infinities, which JSON does not know."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(console: Console, tables: Sequence[Table]) -> None:
    """Print tables the way the terminal allows: first column left, figures right."""
    for table in tables:
        shown = RichTable(title=table.title, title_justify="left")
        for position, column in enumerate(table.columns):
            shown.add_column(column, justify="left" if position == 0 else "right")
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)


def number(value: float | None, digits: int = 2) -> str:
    """A figure for a table; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"
