"""What the site has beside the files of docs/: a page per sender; links that leave the folder.

MkDocs calls these functions (`hooks` in mkdocs.yml) while `make docs` builds.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

HERE = Path(__file__).parent
_LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\((?!https?:|mailto:|#)([^)\s]+)\)")


def senders() -> dict[str, str]:
    """The sections of what to set at each sender, by title."""
    text = (HERE / "alert-formats.md").read_text(encoding="utf-8")
    part = text.partition("## What to set at the sender\n")[2].partition("\n## ")[0]
    sections = re.split(r"^### ", part, flags=re.MULTILINE)[1:]
    return {one.partition("\n")[0]: one.partition("\n")[2].strip() for one in sections}


def sender_page(title: str, section: str) -> str:
    """A page on its own: the sender's snippet, and how to see that it arrives."""
    return (
        f"# {title}\n\n{section}\n\n## Does it arrive?\n\nTry a body without a service, then look "
        "what was made of what was sent:\n\n"
        "```sh\ncopilot alerts explain body.json\ncopilot doctor\ncopilot incidents\n```\n\n"
        "Keys, sizes, what is read of which field: [alert formats](../alert-formats.md).\n"
    )


def _at(title: str) -> str:
    return f"senders/{'-'.join(re.findall(r'[a-z0-9]+', title.lower()))}.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write the lists of pages that follow from files into the navigation."""
    lists: dict[str, list[Any]] = {
        "senders": [{title: _at(title)} for title in senders()],
        "decisions": _of("decisions"),
        "diary": _of("diary"),
    }
    for part in config.nav or ():
        for title, entries in part.items():
            part[title] = [
                {one.capitalize(): lists[one]} if str(one) in lists else one for one in entries
            ]
    return config


def _of(folder: str) -> list[Any]:
    return sorted(str(path.relative_to(HERE)) for path in (HERE / folder).glob("*.md"))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the senders' pages."""
    for title, section in senders().items():
        files.append(File.generated(config, _at(title), content=sender_page(title, section)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Turn a link to what is no part of the site into the path in the repository."""
    folder = PurePosixPath(page.file.src_uri).parent

    def inside(link: re.Match[str]) -> str:
        words, target = link.groups()
        path = normpath(str(folder / target.partition("#")[0]))
        if files.get_file_from_path(path) is not None:
            return link.group(0)
        if (found := HERE / path).exists():
            return f"{words} (`{found.resolve().relative_to(HERE.parent)}`)"
        return link.group(0)  # leads nowhere: MkDocs says so, and fails

    return _LINK.sub(inside, markdown)
