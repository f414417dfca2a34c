"""Read the playbooks that ship with the project."""

from importlib.resources import files

from tools.playbook_executor import PlaybookError, parse
from tools.types import Playbook


def playbooks() -> tuple[Playbook, ...]:
    """Every playbook of the catalogue, by id; `PlaybookError` says which file is wrong and where.

    A file is named after the id of the playbook in it, so no two can have the same id.
    """
    folder = files("knowledge_base").joinpath("playbooks")
    found = []
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".yaml"):
            continue
        playbook = parse(file.read_text(encoding="utf-8"), file.name)
        if f"{playbook.id}.yaml" != file.name:
            raise PlaybookError(file.name, 1, f"holds the playbook {playbook.id!r}")
        found.append(playbook)
    return tuple(found)
