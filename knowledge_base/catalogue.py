"""Read the playbooks that ship with the project, and those of an operator's own folder."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from tools.playbook_executor import PlaybookError, parse
from tools.types import Playbook


def playbooks(own: Path | None = None) -> tuple[Playbook, ...]:
    """Every playbook of the catalogue, by id; `PlaybookError` says which file is wrong and where.

    One in the folder `own` with the id of a shipped one stands in for it. A file
    is named after the id of the playbook in it, so no two of a folder can have the same id.
    """
    found = _folder(files("knowledge_base").joinpath("playbooks"), "")
    if own is not None:
        found |= _folder(own, f"{own}/")
    return tuple(found[name] for name in sorted(found))


def _folder(folder: Traversable, place: str) -> dict[str, Playbook]:
    found = {}
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith((".yaml", ".yml")):
            continue
        source = f"{place}{file.name}"
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlaybookError(source, 1, f"cannot be read: {error}") from error
        playbook = parse(text, source)
        if file.name.rpartition(".")[0] != playbook.id:
            problem = f"holds the playbook {playbook.id!r}; the file has to be named after it"
            raise PlaybookError(source, 1, problem)
        if playbook.id in found:
            raise PlaybookError(source, 1, f"there is another file of the playbook {playbook.id!r}")
        found[playbook.id] = playbook
    return found
