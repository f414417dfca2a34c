"""The form that every sender's document is brought into, and how it becomes a `Change`.

Here, and nowhere later, secrets leave what people and pipelines wrote: messages, diffs, addresses.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError

from copilot.alerts.formats.errors import PayloadError, from_validation
from copilot.alerts.formats.fields import Moment, Payload, Word
from tools.change_inspector.diff import files_of
from tools.log_retriever import Vault, excerpt, redact
from tools.log_retriever.sanitize import strip_controls
from tools.types import Change, ChangeKind, Commit, Timestamp

AHEAD_S = 600.0

MOST_COMMITS = 100
"""Commits kept of one change, the newest; a judge of a day reads 500 of all."""

MOST_FILES = 200
"""Paths kept of one commit; what touches more is a rename or a rewrite."""

MOST_DIFF = 64 * 1024
"""Characters kept of a commit's diff: about 1,500 lines, more than a person reviews at once."""

MOST_READ = 8 * 1024 * 1024
"""Characters of a diff that are looked at before it is cut."""

_KINDS: Mapping[ChangeKind, str] = {
    "deploy": "deploy deployment release rollout rollback upgrade version",
    "canary": "canary",
    "config": "config configuration settings env configmap secret",
    "scale": "scale scaling autoscale replicas",
    "flag": "flag feature_flag feature toggle experiment",
    "infrastructure": "infrastructure infra node network database terraform ansible migration",
    "other": "other maintenance",
}
_KIND: Mapping[str, ChangeKind] = {w: kind for kind, words in _KINDS.items() for w in words.split()}


def _kind(given: object) -> object:
    word = given.strip().lower().replace("-", "_") if isinstance(given, str) else ""
    if word not in _KIND:
        raise ValueError(f"one of {', '.join(_KINDS)}")
    return _KIND[word]


def _text(given: object) -> object:
    return "" if given is None else given


Raw = Annotated[str, BeforeValidator(_text)]
"""Text as it came; it is cut, cleaned and redacted where the change is made of it."""


class PostedFile(Payload):
    """A file of a commit, as GitHub (`filename`, `patch`), GitLab (`new_path`) or we name it."""

    path: Raw = Field(validation_alias=AliasChoices("path", "filename", "new_path"))
    diff: Raw = Field(default="", validation_alias=AliasChoices("diff", "patch"))


def _file(given: object) -> object:
    return {"path": given} if isinstance(given, str) else given


class PostedCommit(Payload):
    """A commit of our own form, or of a push."""

    sha: Annotated[Word, Field(min_length=1, validation_alias=AliasChoices("sha", "id"))]
    at: Moment = Field(
        default=None, validation_alias=AliasChoices("at", "timestamp", "date", "created_at")
    )
    author: Raw = ""
    message: Raw = ""
    url: Raw = ""
    files: tuple[Annotated[PostedFile, BeforeValidator(_file)], ...] = ()
    diff: Raw = ""


class PostedPush(Payload):
    """Commits that were pushed: nothing runs differently yet."""

    repository: Word = ""
    commits: tuple[PostedCommit, ...] = ()


class PostedChange(Payload):
    """Our own form. `id` makes a change told twice one change; without it its fields do.

    `files` and `diff` are lines of the change itself, where it is no commit of a repository.
    """

    id: Word = ""
    at: Moment = None
    service: Annotated[Word, Field(min_length=1)]
    kind: Annotated[ChangeKind, BeforeValidator(_kind)] = "deploy"
    from_version: Word = ""
    to_version: Word = ""
    summary: Raw = ""
    author: Raw = ""
    url: Raw = ""
    environment: Word = ""
    repository: Word = ""
    from_revision: Word = ""
    revision: Word = ""
    commits: tuple[PostedCommit, ...] = ()
    files: tuple[Annotated[PostedFile, BeforeValidator(_file)], ...] = ()
    diff: Raw = ""


def posted(shape: type[Payload], document: Mapping[str, Any], path: str) -> Any:
    """The document in that form; raises `PayloadError` about the first field that is wrong."""
    try:
        return shape.model_validate(document)
    except ValidationError as problem:
        raise from_validation(problem, path) from problem


def change_of(one: PostedChange, now: Timestamp, vault: Vault) -> tuple[str, Change]:
    """The change, and the key that tells it from all others. Without a moment it is now.

    Raises `PayloadError` where it lies in the future.
    """
    at = now if one.at is None else one.at
    if at > now + AHEAD_S:
        raise PayloadError("at", "a moment that is not in the future", at)
    at = min(at, now)
    kept, gap = _newest(one.commits)
    commits = [commit(given, one.repository, at, vault) for given in kept]
    if one.diff or one.files:
        own = {"sha": one.revision or one.id or one.to_version or one.service, "at": at}
        shown = one.model_dump(include={"author", "url", "files", "diff"}) | own
        given = PostedCommit.model_validate(shown | {"message": one.summary})
        commits.append(commit(given, one.repository, at, vault))
    change = Change(
        at=at,
        service=one.service,
        kind=one.kind,
        from_version=safe(one.from_version, vault, 100),
        to_version=safe(one.to_version, vault, 100),
        summary=safe(_with_environment(one), vault, 400),
        author=safe(one.author, vault, 80),
        url=address(one.url, vault),
        repository=one.repository,
        from_revision=one.from_revision,
        revision=one.revision,
        commits=tuple(commits),
        gap=gap,
    )
    parts = [one.id] if one.id else [repr(value) for value in dict(change).values()]
    text = "\x00".join([change.service, *parts])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32], change


def commits_of(one: PostedPush, now: Timestamp, vault: Vault) -> tuple[Commit, ...]:
    """The commits of a push, the newest ones of very many."""
    kept, _ = _newest(one.commits)
    return tuple(commit(given, one.repository, now, vault) for given in kept)


def commit(one: PostedCommit, repository: str, now: Timestamp, vault: Vault) -> Commit:
    """A commit without secrets, cut to what is kept of one."""
    lines = [_headed(file.path, file.diff) for file in one.files if file.diff]
    diff = "\n".join([*lines, one.diff] if one.diff else lines)
    named = [file.path for file in one.files] or [file.path for file in files_of(diff, ())]
    return Commit(
        sha=one.sha,
        at=now if one.at is None else min(one.at, now),
        author=safe(one.author, vault, 80),
        message=safe(one.message, vault, 400),
        files=tuple(safe(path, vault, 300) for path in named[:MOST_FILES] if path),
        diff=safe_lines(diff, vault, MOST_DIFF),
        url=address(one.url, vault),
        repository=repository,
    )


def safe(text: str, vault: Vault, limit: int) -> str:
    """One line without secrets and control characters."""
    return excerpt(text, vault, limit) if text else ""


def safe_lines(text: str, vault: Vault, limit: int) -> str:
    """Lines without secrets and control characters; what is too long ends after a whole line."""
    cut = "\n".join(map(strip_controls, text[:MOST_READ].splitlines()))
    shown = redact(cut[: 2 * limit], vault) if cut else ""
    return shown if len(shown) <= limit else shown[:limit].rpartition("\n")[0]


def address(url: str, vault: Vault) -> str:
    """A link that a person can follow; anything else is left out."""
    return safe(url, vault, 300) if url.startswith(("https://", "http://")) else ""


def _newest(commits: Iterable[PostedCommit]) -> tuple[tuple[PostedCommit, ...], str]:
    every = tuple(commits)
    left = len(every) - MOST_COMMITS
    said = f"{left} of {len(every)} commits are not kept" if left > 0 else ""
    return every[-MOST_COMMITS:], said


def _headed(path: str, diff: str) -> str:
    """The lines of one file under its name, which an API sends beside them."""
    if diff.startswith(("--- ", "diff --git ")):
        return diff
    return f"--- a/{path}\n+++ b/{path}\n{diff}"


def _with_environment(one: PostedChange) -> str:
    named = f"({one.environment})" if one.environment else ""
    return f"{one.summary} {named}".strip()


NO_SERVICE = "a service; say which in the address: /changes?service=NAME"

PostedItem = PostedChange | PostedPush
ChangeReading = tuple[PostedItem, ...] | str
"""What a document tells; or, as text, why nothing has changed by it."""


def one_change(path: str = "", **fields: Any) -> ChangeReading:
    """One change of these fields; `path` is where they stand in the sender's document."""
    return (posted(PostedChange, fields, path),)
