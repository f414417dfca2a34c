"""`copilot journal verify|export`: the audit trail, checked and written out."""

import sys
from pathlib import Path

from rich.console import Console

from copilot import wiring
from copilot.settings import Settings


def journal_verify(settings: Settings) -> int:
    """Recompute the chain; exit code 1 and the first bad row if it does not hold."""
    console = Console(markup=False, highlight=False)
    with wiring.store(settings) as store:
        check = store.journal.verify()
    if check.ok:
        console.print(f"ok: {check.rows} rows, head {check.head}", soft_wrap=True)
        return 0
    console.print(f"BROKEN at row {check.first_bad_seq}: {check.problem}", soft_wrap=True)
    return 1


def journal_export(settings: Settings, *, path: Path | None) -> int:
    """Write every row as a line of JSON."""
    with wiring.store(settings) as store:
        if path is None:
            store.journal.export(sys.stdout.write)
            return 0
        with path.open("w", encoding="utf-8") as out:
            rows = store.journal.export(out.write)
    Console(markup=False).print(f"wrote {rows} rows to {path}")
    return 0
