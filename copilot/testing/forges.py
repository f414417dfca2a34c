"""Servers that speak the parts of GitHub's and GitLab's APIs that reading commits needs, strictly.

Sources: docs.github.com/rest/commits/commits; docs.gitlab.com/api/repositories and /api/commits.
Both hold one repository, `shop/cart`, whose commits stand in a row.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer

TOKEN = "forge-token"
PATH = "shop/cart"


@dataclass(frozen=True, slots=True)
class HeldCommit:
    """A commit of the repository: its files with their hunks."""

    sha: str
    message: str
    files: tuple[tuple[str, str], ...]
    author: str = "lin"
    at: str = "2025-12-31T23:40:00Z"


class ForgeServer(StrictServer):
    """What both share: the commits in a row, and the token that opens them."""

    def __init__(self, commits: Sequence[HeldCommit]) -> None:
        super().__init__()
        self.commits = tuple(commits)

    def place(self, revision: str) -> int:
        """Where a commit stands, -1 where it does not."""
        names = [one.sha for one in self.commits]
        return names.index(revision) if revision in names else -1

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return HttpReply(401, {"message": "401 Unauthorized"})
        return self.answer(asked)

    def answer(self, asked: ReceivedRequest) -> HttpReply:
        """What the protocol says to who may ask."""
        raise NotImplementedError


class GitHubServer(ForgeServer):
    """GitHub's REST API."""

    name = "GitHub"

    def answer(self, asked: ReceivedRequest) -> HttpReply:
        if asked.path == "/rate_limit":
            core = {"limit": 5000, "used": 1, "remaining": 4999, "reset": 1767225600}
            return HttpReply(200, {"resources": {"core": core}, "rate": core})
        compared = re.fullmatch(rf"/repos/{PATH}/compare/(\w+)\.\.\.(\w+)", asked.path)
        if compared:
            return self._compare(asked, *map(self.place, compared.groups()))
        single = re.fullmatch(rf"/repos/{PATH}/commits/(\w+)", asked.path)
        place = self.place(single[1]) if single else -1
        if place < 0:
            return HttpReply(404, {"message": "Not Found", "status": "404"})
        one = self.commits[place]
        return HttpReply(200, _github(one) | {"files": _github_files([one])})

    def _compare(self, asked: ReceivedRequest, base: int, head: int) -> HttpReply:
        if base < 0 or head < 0:
            return HttpReply(404, {"message": "Not Found"})
        size, page = int(asked.one("per_page") or 250), int(asked.one("page") or 1)
        ahead = self.commits[base + 1 : head + 1]
        shown = ahead[(page - 1) * size : page * size]
        return HttpReply(
            200,
            {
                "status": "ahead" if head > base else "identical" if head == base else "behind",
                "ahead_by": len(ahead),
                "behind_by": max(0, base - head),
                "total_commits": len(ahead),
                "commits": [_github(one) for one in shown],
                "files": _github_files(ahead) if page == 1 else [],
            },
        )


def _github(one: HeldCommit) -> dict[str, object]:
    signed = {"name": one.author.title(), "email": f"{one.author}@shop.example", "date": one.at}
    return {
        "sha": one.sha,
        "html_url": f"https://github.com/{PATH}/commit/{one.sha}",
        "commit": {"message": one.message, "author": signed, "committer": signed},
        "author": {"login": one.author},
        "parents": [],
    }


def _github_files(commits: Sequence[HeldCommit]) -> list[dict[str, object]]:
    return [
        {"filename": path, "status": "modified", "patch": hunks}
        for one in commits
        for path, hunks in one.files
    ]


class GitLabServer(ForgeServer):
    """GitLab's REST API."""

    name = "GitLab"

    def answer(self, asked: ReceivedRequest) -> HttpReply:
        if asked.path == "/version":
            return HttpReply(200, {"version": "17.6.1", "revision": "deadbeef"})
        root, _, rest = asked.path.partition("/repository/")
        if unquote(root) != f"/projects/{PATH}" or "%2F" not in root:
            return HttpReply(404, {"message": "404 Project Not Found"})
        if rest == "compare":
            return self._compare(self.place(asked.one("from")), self.place(asked.one("to")))
        single = re.fullmatch(r"commits/(\w+)(/diff)?", rest)
        place = self.place(single[1]) if single else -1
        if single is None or place < 0:
            return HttpReply(404, {"message": "404 Commit Not Found"})
        one = self.commits[place]
        return HttpReply(200, _gitlab_files(one) if single[2] else _gitlab(one))

    def _compare(self, base: int, head: int) -> HttpReply:
        if base < 0 or head < 0:
            return HttpReply(404, {"message": "404 Ref Not Found"})
        ahead = self.commits[base + 1 : head + 1]
        return HttpReply(
            200,
            {
                "commit": _gitlab(ahead[-1]) if ahead else None,
                "commits": [_gitlab(one) for one in ahead],
                "diffs": [row for one in ahead for row in _gitlab_files(one)],
                "compare_timeout": False,
                "compare_same_ref": base == head,
            },
        )


def _gitlab(one: HeldCommit) -> dict[str, object]:
    return {
        "id": one.sha,
        "short_id": one.sha[:8],
        "title": one.message.partition("\n")[0],
        "message": one.message,
        "author_name": one.author,
        "author_email": f"{one.author}@shop.example",
        "created_at": one.at,
        "committed_date": one.at,
        "web_url": f"https://gitlab.com/{PATH}/-/commit/{one.sha}",
    }


def _gitlab_files(one: HeldCommit) -> list[dict[str, object]]:
    return [
        {"old_path": path, "new_path": path, "diff": hunks, "new_file": False}
        for path, hunks in one.files
    ]
