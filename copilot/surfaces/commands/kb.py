"""`copilot kb search|show|list|index|add|remove`: runbooks and postmortems, and one's own."""

import json
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from copilot import wiring
from copilot.knowledge import DocumentHit
from copilot.knowledge import wiring as knowledge_wiring
from copilot.settings import Settings
from knowledge_base import Document, Kind, Section


def kb_search(settings: Settings, *, question: str, limit: int, as_json: bool) -> int:
    """Print what answers a question; exit code 1 where nothing does."""
    with wiring.knowledge(settings) as knowledge:
        hits = knowledge.search(question, limit)
        in_force = knowledge.in_force
    console = Console()
    if as_json:
        console.print_json(json.dumps([_shown(hit) for hit in hits], ensure_ascii=False))
        return 0 if hits else 1
    if not hits:
        console.print(Text(f"nothing in the knowledge base answers this (searched by {in_force})"))
        return 1
    for hit in hits:
        _print(console, hit, settings.language)
    console.print(Text(f"searched by {in_force}", style="dim"))
    return 0


def kb_show(settings: Settings, *, document: str, as_json: bool) -> int:
    """Print one document whole: title, trust, source, symptoms, every section."""
    one = wiring.library(settings).document(document)
    console = Console()
    if as_json:
        sections = [section.model_dump() for section in one.sections]
        row = {**_identity(one, settings.language), "sections": sections}
        console.print_json(json.dumps(row | {"playbooks": one.playbooks}, ensure_ascii=False))
        return 0
    _print_head(console, one, settings.language, "about " + ", ".join(one.fault_kinds))
    for section in one.sections:
        console.print()
        _print_section(console, section)
    _print_playbooks(console, one)
    return 0


def kb_index(settings: Settings, *, rebuild: bool) -> int:
    """Embed what is new or changed; exit code 1 where no embedder is in force."""
    console = Console()
    documents = wiring.library(settings).documents()
    with knowledge_wiring.dense(settings, anew=rebuild) as (by_meaning, why):
        if by_meaning is None:
            console.print(Text(f"nothing to index: {why}; `copilot kb search` needs no index"))
            return 1
        console.print(Text(f"{by_meaning.embedder.model} ({why})"))
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("passages", total=None)
            outcome = by_meaning.index(
                documents, lambda done, of: progress.update(task, completed=done, total=of)
            )
    said = f"{outcome.embedded} embedded, {outcome.kept} unchanged, {outcome.removed} removed"
    console.print(f"{len(documents)} documents: {said}")
    return 0


def kb_list(settings: Settings, *, kind: Kind | None, as_json: bool) -> int:
    """Print every document, or those of one kind."""
    library = wiring.library(settings)
    own = {document.id for document in library.own()}
    listed = [one for one in library.documents() if kind in (None, one.kind)]
    console = Console()
    if as_json:
        rows = [{**_identity(one, settings.language), "own": one.id in own} for one in listed]
        console.print_json(json.dumps(rows, ensure_ascii=False))
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ID", "KIND", "TRUST", "CAUSES", "TITLE"):
        table.add_column(column, overflow="fold")
    for one in listed:
        title = one.title.zh if settings.language == "zh" else one.title.en
        mine = " *" if one.id in own else ""
        table.add_row(
            Text(one.id + mine), one.kind, one.trust, " ".join(one.fault_kinds), Text(title)
        )
    console.print(table)
    console.print(f"{len(listed)} documents, {len(own)} of our own (*)", style="dim")
    return 0


def kb_add(settings: Settings, *, files: list[Path], replace: bool) -> int:
    """Check files and take them into the knowledge base."""
    library = wiring.library(settings)
    console = Console(markup=False, highlight=False)
    for path in files:
        document = library.add(path, replace=replace)
        console.print(f"added {document.kind} {document.id} ({document.trust})", soft_wrap=True)
    return 0


def kb_remove(settings: Settings, *, document: str) -> int:
    """Take a document of our own out again."""
    wiring.library(settings).remove(document)
    Console(markup=False, highlight=False).print(f"removed {document}")
    return 0


def _identity(document: Document, language: str) -> dict[str, str]:
    title = document.title.zh if language == "zh" else document.title.en
    return {
        "id": document.id,
        "kind": document.kind,
        "title": title,
        "trust": document.trust,
        "url": document.origin.url if document.origin else "",
        "date": document.origin.date.isoformat() if document.origin else "",
    }


def _shown(hit: DocumentHit) -> dict[str, str | float | list[str]]:
    return {
        **_identity(hit.document, "en"),
        "score": round(hit.score, 4),
        "reason": hit.reason,
        "heading": hit.section.heading,
        "text": hit.section.text,
        "playbooks": list(hit.document.playbooks),
    }


def _print(console: Console, hit: DocumentHit, language: str) -> None:
    _print_head(console, hit.document, language, hit.reason)
    _print_section(console, hit.section)
    _print_playbooks(console, hit.document)
    console.print(Text(f"whole: copilot kb show {hit.document.id}", style="dim"))
    console.print()


def _print_head(console: Console, document: Document, language: str, why: str) -> None:
    title = document.title.zh if language == "zh" else document.title.en
    symptoms = document.symptoms.zh if language == "zh" else document.symptoms.en
    console.print(Text.assemble((document.id, "bold"), f"  {title}"))
    console.print(Text(f"  {document.kind}, {document.trust}; {why}", style="dim"))
    if document.origin is not None:
        source = f"  {document.origin.date.isoformat()}, {document.origin.url}"
        console.print(Text(source, style="dim"), soft_wrap=True)
    console.print(Text(f"  {symptoms}"))


def _print_section(console: Console, section: Section) -> None:
    console.print(Markdown(f"**{section.heading}**\n\n{section.text}", hyperlinks=False))


def _print_playbooks(console: Console, document: Document) -> None:
    if document.playbooks:
        console.print(Text(f"playbooks: {', '.join(document.playbooks)}", style="bold"))
