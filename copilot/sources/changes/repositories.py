"""The commits of what was deployed: as pushed and posted, and asked of GitHub and GitLab.

Sources: docs.github.com/rest/commits (compare two commits, get a commit: at most 300 files a page);
docs.gitlab.com/api/repositories (compare) and /api/commits (diff of a commit).
"""

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import quote, urlsplit

from pydantic import SecretStr, ValidationError

from copilot.ports import Clock, SourceError
from copilot.sources.changes.posted import MOST_COMMITS, PostedCommit, commit, safe
from copilot.sources.json_api import AnswerError, ApiEndpoint, JsonApi
from tools.log_retriever import Vault
from tools.types import Change, Commit, Timestamp, Window

MOST_ASKED = 20
"""Commits of one change whose lines are asked for, the newest first: a request each."""

MOST_CHANGES = 10
"""Changes of one look whose commits are asked for, the newest first."""

MOST_ANSWER = 8 * 1024 * 1024
"""Bytes of one answer: 300 files of 27 kB; what is larger is no commit that a person reviewed."""

AGAIN_S = 60.0
"""A forge that did not answer is left alone for so long: a brief must not wait for it each time."""

_PATH = re.compile(r"(?!.*\.\.)[\w.\-]+(?:/[\w.\-]+){1,9}")
_REVISION = re.compile(r"(?!.*\.\.)\w[\w.\-+/]{0,199}")


class StoredChanges(Protocol):
    """The changes that are stored, and what was learned of them since."""

    def changes(self, window: Window) -> Sequence[Change]: ...

    def commits(self, window: Window) -> Sequence[Commit]: ...

    def unknown(self, window: Window) -> Sequence[tuple[str, Change]]:
        """Changes of a revision whose commits no forge has told yet, newest first."""
        ...

    def amend(self, key: str, change: Change, compared: Literal["whole", "failed"]) -> None: ...


class RevisionRange(NamedTuple):
    """The commits between two revisions, oldest first, and what of them was not told."""

    commits: tuple[PostedCommit, ...]
    gap: str = ""


class Forge(Protocol):
    """A server of repositories that is asked for the commits of a revision."""

    host: str

    def between(self, path: str, base: str, head: str) -> RevisionRange:
        """Commits after `base` up to `head`; of `head` alone where no base is known."""
        ...

    def lines(self, path: str, one: PostedCommit) -> PostedCommit:
        """The commit with its files and their lines; raises SourceError."""
        ...

    def describe(self) -> str:
        """Where it is and that its token opens it; raises SourceError."""
        ...

    def close(self) -> None: ...


def _host_of(url: str) -> str:
    """Where people see the repositories of an API: github.com for api.github.com."""
    return (urlsplit(url).hostname or "").removeprefix("api.")


def _posted(fields: Mapping[str, Any], source: str) -> PostedCommit:
    try:
        return PostedCommit.model_validate(fields)
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        problem = f"a commit that cannot be read: {where}: {error.errors()[0]['msg']}"
        raise SourceError(source, problem, recoverable=False) from error


def _listed(document: object, name: str, source: str) -> list[Mapping[str, Any]]:
    found = document.get(name) if isinstance(document, dict) else document
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        problem = f"{name} is no list of objects; is this the right address?"
        raise SourceError(source, problem, recoverable=False)
    return found


def _mapping(given: object) -> Mapping[str, Any]:
    """An object as it is; empty for anything else."""
    return given if isinstance(given, dict) else {}


class GitHubForge:
    """GitHub, or GitHub Enterprise Server under /api/v3."""

    def __init__(self, api: JsonApi) -> None:
        self._api = api
        self.close = api.close
        self.host = _host_of(api.url)

    def describe(self) -> str:
        try:
            core = _mapping(_mapping(self._api.get("/rate_limit")).get("resources")).get("core")
        except AnswerError as error:
            if error.status != 404:  # a server of one's own may count nothing
                raise
            core = None
        left = _mapping(core).get("remaining")
        return f"{self._api.source}" + (f", {left} requests left" if left is not None else "")

    def between(self, path: str, base: str, head: str) -> RevisionRange:
        if not base:
            whole = self._api.get(f"/repos/{path}/commits/{quote(head, safe='')}")
            return RevisionRange((self._read(whole),), _NO_BASE)
        found = self._page(path, base, head, 1)
        total = found.get("total_commits")
        count = total if isinstance(total, int) else 0
        if count > MOST_COMMITS:
            found = {**found, **self._page(path, base, head, -(-count // MOST_COMMITS))}
        rows = _listed(found, "commits", self._api.source)
        if count == 1 == len(rows):
            # The files of the whole are those of its one commit.
            rows = [{**rows[0], "files": found.get("files")}]
        left = f"{count - len(rows)} older commits are not told" if count > len(rows) else ""
        backwards = _BACKWARDS if found.get("status") == "behind" else ""
        return RevisionRange(tuple(map(self._read, rows)), backwards or left)

    def lines(self, path: str, one: PostedCommit) -> PostedCommit:
        return self._read(self._api.get(f"/repos/{path}/commits/{one.sha}"))

    def _page(self, path: str, base: str, head: str, page: int) -> dict[str, Any]:
        basehead = f"{quote(base, safe='')}...{quote(head, safe='')}"
        query = {"per_page": MOST_COMMITS, "page": page}
        found = self._api.get(f"/repos/{path}/compare/{basehead}", query)
        return dict(_mapping(found))

    def _read(self, row: Mapping[str, Any]) -> PostedCommit:
        made = _mapping(row.get("commit"))
        author = _mapping(row.get("author"))
        written, committed = _mapping(made.get("author")), _mapping(made.get("committer"))
        fields = {
            "sha": row.get("sha"),
            "at": committed.get("date") or written.get("date"),
            "author": author.get("login") or written.get("name"),
            "message": made.get("message"),
            "url": row.get("html_url"),
            "files": row.get("files") or (),
        }
        return _posted(fields, self._api.source)


class GitLabForge:
    """GitLab, of the company or one's own."""

    def __init__(self, api: JsonApi) -> None:
        self._api = api
        self.close = api.close
        self.host = _host_of(api.url)

    def describe(self) -> str:
        return (
            f"{self._api.source} {_mapping(self._api.get('/version')).get('version', '')}".strip()
        )

    def between(self, path: str, base: str, head: str) -> RevisionRange:
        root = self._root(path)
        if not base:
            one = self._api.get(f"{root}/commits/{quote(head, safe='')}")
            return RevisionRange((self._read(one),), _NO_BASE)
        found = self._api.get(f"{root}/compare", {"from": base, "to": head})
        rows = _listed(found, "commits", self._api.source)
        kept = tuple(map(self._read, rows[-MOST_COMMITS:]))
        if len(rows) > len(kept):
            return RevisionRange(kept, f"{len(rows) - len(kept)} older commits are not told")
        same = isinstance(found, dict) and found.get("compare_same_ref") is True
        return RevisionRange(kept, "" if kept or same else _BACKWARDS)

    def lines(self, path: str, one: PostedCommit) -> PostedCommit:
        found = self._api.get(f"{self._root(path)}/commits/{one.sha}/diff", {"per_page": 100})
        files = _listed(found, "diff", self._api.source)
        return _posted({**one.model_dump(), "files": files}, self._api.source)

    def _root(self, path: str) -> str:
        return f"/projects/{quote(path, safe='')}/repository"

    def _read(self, row: Mapping[str, Any]) -> PostedCommit:
        fields = {
            "sha": row.get("id"),
            "at": row.get("committed_date") or row.get("created_at"),
            "author": row.get("author_name"),
            "message": row.get("message") or row.get("title"),
            "url": row.get("web_url"),
        }
        return _posted(fields, self._api.source)


_NO_BASE = "which revision ran before is not known: only its last commit is told"
_BACKWARDS = "it goes back to an earlier revision: it takes commits away and brings none"


class ForgeBudget:
    """Seconds that the forges may take in one look; waiting between two attempts counts."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._until = 0.0

    def begin(self) -> None:
        """Count from now."""
        self._until = self._clock.now() + self._seconds

    def sleep(self, seconds: float) -> None:
        """Wait, or raise SourceError where that would be too long."""
        self.require(seconds)
        self._clock.sleep(seconds)

    def require(self, seconds: float = 0.0) -> None:
        """Raise SourceError where less than these seconds are left."""
        if self._clock.now() + seconds >= self._until:
            problem = f"the {self._seconds:g} s for commits are used up"
            raise SourceError("commits", problem, recoverable=True)


class RepositoryCommits:
    """The commits that are stored, after the forges were asked for what is missing of them.

    What a forge does not tell is said in the change's `gap` and asked for again later; the change
    itself is on disk all the time.
    """

    def __init__(
        self, record: StoredChanges, forges: Sequence[Forge], budget: ForgeBudget, clock: Clock
    ) -> None:
        self._record = record
        self._forges = {one.host: one for one in forges}
        self._budget = budget
        self._clock = clock
        self._turn = threading.Lock()
        self._left_alone: dict[str, Timestamp] = {}

    def commits(self, window: Window) -> Sequence[Commit]:
        """Commits made in the window or brought by its changes, with their lines where known."""
        self.complete(window)
        return self._record.commits(window)

    def complete(self, window: Window) -> None:
        """Ask the forges for the commits of the window's changes, within their seconds."""
        if not self._forges:
            return
        with self._turn:
            self._budget.begin()
            for key, change in self._record.unknown(window)[:MOST_CHANGES]:
                host, _, path = change.repository.partition("/")
                forge = self._forges.get(host)
                if forge is not None and self._left_alone.get(host, 0.0) <= self._clock.now():
                    self._ask(forge, path, key, change)

    def describe(self) -> str:
        """The forges that are asked, each with what it says; raises SourceError."""
        self._budget.begin()
        return ", ".join(one.describe() for one in self._forges.values())

    def problems(self) -> Sequence[str]:
        """That the lines of commits are asked of nobody, where no forge has a token."""
        return () if self._forges else (_NOBODY,)

    def close(self) -> None:
        """Give the connections to the forges back."""
        for forge in self._forges.values():
            forge.close()

    def _ask(self, forge: Forge, path: str, key: str, change: Change) -> None:
        base, head = change.from_revision, change.revision
        try:
            if not _PATH.fullmatch(path) or not all(
                _REVISION.fullmatch(one) for one in (base or head, head)
            ):
                problem = "this is no name of a repository or revision, so it is not asked for"
                raise SourceError(forge.host, problem, recoverable=False)
            self._budget.require()
            told = forge.between(path, base, head)
            commits, gap = self._with_lines(forge, path, change, told)
        except SourceError as error:
            if error.recoverable:
                self._left_alone[forge.host] = self._clock.now() + AGAIN_S
            said = f"its commits could not be read: {error}"
            # What is known of it already stays.
            self._record.amend(key, _amended(change, change.commits, said), "failed")
            return
        lacking = gap.startswith(_LACKING)
        self._record.amend(key, _amended(change, commits, gap), "failed" if lacking else "whole")

    def _with_lines(
        self, forge: Forge, path: str, change: Change, told: RevisionRange
    ) -> tuple[tuple[Commit, ...], str]:
        """The newest commits with their lines, and why those of others are not known."""
        known = {one.sha: one for one in change.commits if one.diff}
        vault, found, lacking = Vault(), list[Commit](), ""
        for place, one in enumerate(reversed(told.commits)):
            if one.sha in known:
                found.append(known[one.sha])
                continue
            if not lacking and place < MOST_ASKED and not one.files:
                try:
                    self._budget.require()
                    one = forge.lines(path, one)
                except SourceError as error:
                    lacking = f"{_LACKING} of some commits could not be read: {error}"
            found.append(commit(one, change.repository, change.at, vault))
        left = len(told.commits) - MOST_ASKED
        few = f"the lines of {left} older commits were not asked for" if left > 0 else ""
        return tuple(reversed(found)), lacking or told.gap or few


_LACKING = "the lines"
_NOBODY = (
    "COPILOT_GITHUB_TOKEN or COPILOT_GITLAB_TOKEN tells the lines of commits (docs/changes.md)"
)


def _amended(change: Change, commits: tuple[Commit, ...], gap: str) -> Change:
    return change.model_copy(update={"commits": commits, "gap": safe(gap, Vault(), 240)})


class ForgeAddress(NamedTuple):
    """Where a forge's API is, and the token that opens it."""

    url: str
    token: SecretStr


def connected(
    record: StoredChanges,
    clock: Clock,
    seconds: float,
    github: ForgeAddress | None = None,
    gitlab: ForgeAddress | None = None,
) -> RepositoryCommits:
    """The stored commits and the forges that have a token; nothing is asked yet."""
    budget = ForgeBudget(clock, seconds)

    def api(name: str, address: ForgeAddress) -> JsonApi:
        endpoint = ApiEndpoint(address.url, address.token)
        return JsonApi(
            name, endpoint, timeout_s=seconds, most_bytes=MOST_ANSWER, sleep=budget.sleep
        )

    forges: list[Forge] = []
    if github is not None:
        forges.append(GitHubForge(api("GitHub", github)))
    if gitlab is not None:
        forges.append(GitLabForge(api("GitLab", gitlab)))
    return RepositoryCommits(record, forges, budget, clock)
