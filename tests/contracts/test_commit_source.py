"""Every source of commits: the stored ones alone, recordings, GitHub and GitLab asked for more."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from copilot.ports import CommitSource, RemoteSource, SourceError
from copilot.sources.changes.repositories import ForgeAddress, RepositoryCommits, connected
from copilot.sources.recorded import RecordedBundle
from copilot.store import Store
from copilot.testing.forges import TOKEN, ForgeServer, GitHubServer, GitLabServer, HeldCommit
from copilot.testing.strict_http import ServerFailure, serving
from tools.types import Change, Commit, Window

NOW = 1_767_225_600.0
DAY = Window(start=NOW - 86_400.0, end=NOW)
POOL = "@@ -1,2 +1,2 @@\n-size: 20\n+size: 2\n idle: 5"
SECRET = "hunter2hunter2"
HELD = (
    HeldCommit("a0" * 20, "the one before", (("a.md", "@@ -1 +1 @@\n-a\n+b"),)),
    HeldCommit("b1" * 20, f"tidy; password={SECRET}", (("docs/a.md", "@@ -1 +1 @@\n-a\n+b"),)),
    HeldCommit(
        "c2" * 20,
        "a smaller pool",
        (("pool.yaml", POOL), ("key", f'@@ -0,0 +1 @@\n+pwd="{SECRET}"')),
    ),
)
SHAS = [one.sha for one in HELD]


class Settable:
    """A clock that waits by moving on."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    opened.create()
    yield opened
    opened.close()


def deployed(base: str = SHAS[0], head: str = SHAS[2], path: str = "shop/cart") -> Change:
    return Change(
        at=NOW - 60.0,
        service="cart",
        kind="deploy",
        repository=f"127.0.0.1/{path}",
        from_revision=base,
        revision=head,
    )


Asking = Callable[[ForgeServer, Settable], CommitSource]


@pytest.fixture
def asked(store: Store) -> Iterator[Asking]:
    """Opens a source over the store that asks a server."""
    opened: list[RepositoryCommits] = []

    def source(server: ForgeServer, clock: Settable) -> CommitSource:
        address = ForgeAddress(server.url, SecretStr(TOKEN))
        ways = {"github": address} if isinstance(server, GitHubServer) else {"gitlab": address}
        opened.append(connected(store.changes, clock, 6.0, **ways))
        return opened[-1]

    yield source
    for one in opened:
        one.close()


@pytest.fixture(params=["stored", "recorded", "GitHub", "GitLab"])
def source(
    request: pytest.FixtureRequest, store: Store, tmp_path: Path, asked: Asking
) -> Iterator[CommitSource]:
    """The same two commits of one change, known by each source in its way."""
    lines = [(one.sha, one.files) for one in HELD[1:]]
    made = tuple(
        Commit(sha=sha, at=NOW - 1200.0, author="lin", files=tuple(p for p, _ in files),
               diff="\n".join(f"+++ b/{p}\n{d}" for p, d in files if SECRET not in d))
        for sha, files in lines
    )  # fmt: skip
    with ExitStack() as stack:
        if request.param == "stored":
            store.changes.record({"k": deployed().model_copy(update={"commits": made})}, NOW)
            yield connected(store.changes, Settable(), 6.0)
        elif request.param == "recorded":
            folder = tmp_path / "bundle"
            folder.mkdir()
            described = {"id": "b", "schema": "incident-bundle/1", "window": [DAY.start, DAY.end]}
            (folder / "incident.json").write_text(json.dumps(described), encoding="utf-8")
            row = deployed().model_dump() | {"ts": NOW - 60.0, "commits": []}
            rows = [row | {"commits": [one.model_dump() for one in made]}]
            (folder / "changes.json").write_text(json.dumps(rows), encoding="utf-8")
            yield RecordedBundle(folder)
        else:
            kind = GitHubServer if request.param == "GitHub" else GitLabServer
            server = stack.enter_context(serving(kind(HELD)))
            store.changes.record({"k": deployed()}, NOW)
            yield asked(server, Settable())


def test_commits_of_a_change_are_told_oldest_first_with_author_files_and_lines(
    source: CommitSource,
) -> None:
    found = source.commits(DAY)
    assert [one.sha for one in found] == SHAS[1:]
    assert {one.author for one in found} == {"lin"}
    assert found[1].files[0] == "pool.yaml"
    assert "+size: 2" in found[1].diff


def test_no_secret_and_nothing_of_another_day_is_told(source: CommitSource) -> None:
    assert SECRET not in repr(source.commits(DAY))
    week = 7 * 86_400.0
    assert not source.commits(Window(start=DAY.start - week, end=DAY.end - week))


# --- what only forges do -------------------------------------------------------------------------


@pytest.fixture(params=[GitHubServer, GitLabServer], ids=["GitHub", "GitLab"])
def server(request: pytest.FixtureRequest) -> Iterator[ForgeServer]:
    with serving(request.param(HELD)) as running:
        yield running


def told(store: Store) -> Change:
    return store.changes.changes(DAY)[0]


def test_a_forge_is_asked_once_and_its_answer_is_on_disk(
    store: Store, server: ForgeServer, asked: Asking
) -> None:
    store.changes.record({"k": deployed()}, NOW)
    source = asked(server, Settable())
    source.commits(DAY)
    count = len(server.asked)
    source.commits(DAY)
    assert len(server.asked) == count
    assert [one.sha for one in told(store).commits] == SHAS[1:]
    assert told(store).gap == ""


def test_without_the_revision_before_the_last_commit_is_told_and_that_it_is_so(
    store: Store, server: ForgeServer, asked: Asking
) -> None:
    store.changes.record({"k": deployed(base="")}, NOW)
    found = asked(server, Settable()).commits(DAY)
    assert [one.sha for one in found] == SHAS[2:]
    assert "+size: 2" in found[0].diff
    assert "which revision ran before is not known" in told(store).gap


def test_a_rollback_brings_no_commits_and_says_so(
    store: Store, server: ForgeServer, asked: Asking
) -> None:
    store.changes.record({"k": deployed(base=SHAS[2], head=SHAS[1])}, NOW)
    assert not asked(server, Settable()).commits(DAY)
    assert "goes back to an earlier revision" in told(store).gap


FAILURES: list[ServerFailure] = ["forbidden", "page", "partial", "redirect", "hung up", "busy"]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_forge_that_fails_loses_nothing_and_is_asked_again_later(
    store: Store, server: ForgeServer, asked: Asking, failure: ServerFailure
) -> None:
    store.changes.record({"k": deployed()}, NOW)
    clock = Settable()
    source = asked(server, clock)
    server.failures.extend([failure] * 3)
    assert source.commits(DAY) == ()
    assert "its commits could not be read" in told(store).gap
    assert told(store).revision == SHAS[2]
    server.failures.clear()
    clock.time += 61.0
    assert [one.sha for one in source.commits(DAY)] == SHAS[1:]
    assert told(store).gap == ""


def test_lines_that_fail_leave_their_commits_and_are_asked_for_again(
    store: Store, server: ForgeServer, asked: Asking
) -> None:
    store.changes.record({"k": deployed()}, NOW)
    clock = Settable()
    source = asked(server, clock)
    original = server.answer

    def first_only(request: object) -> object:
        server.failures.append("forbidden")
        return original(request)  # type: ignore[arg-type]

    server.answer = first_only  # type: ignore[method-assign, assignment]
    assert [one.diff for one in source.commits(DAY)] == ["", ""]
    assert "the lines of some commits could not be read" in told(store).gap
    server.answer = original  # type: ignore[method-assign]
    server.failures.clear()
    assert "+size: 2" in source.commits(DAY)[1].diff
    assert told(store).gap == ""


@pytest.mark.parametrize(
    ("path", "head"),
    [("shop/../admin", SHAS[2]), ("shop", SHAS[2]), ("shop/cart", "a b"), ("shop/cart", "../x")],
)
def test_what_is_no_name_of_a_repository_or_revision_is_not_asked_for(
    store: Store, server: ForgeServer, asked: Asking, path: str, head: str
) -> None:
    store.changes.record({"k": deployed(path=path, head=head)}, NOW)
    assert not asked(server, Settable()).commits(DAY)
    assert not server.asked
    assert "is no name of a repository" in told(store).gap


def test_another_host_is_never_asked(store: Store, server: ForgeServer, asked: Asking) -> None:
    elsewhere = deployed().model_copy(update={"repository": "evil.example/shop/cart"})
    store.changes.record({"k": elsewhere}, NOW)
    assert not asked(server, Settable()).commits(DAY)
    assert not server.asked


def test_of_very_many_commits_the_newest_are_read_line_by_line(store: Store, asked: Asking) -> None:
    many = [HeldCommit(f"{n:040x}", f"change {n}", (("a.txt", POOL),)) for n in range(250)]
    store.changes.record({"k": deployed(base=many[0].sha, head=many[-1].sha)}, NOW)
    with serving(GitHubServer(many)) as server:
        found = asked(server, Settable()).commits(DAY)
        assert len(server.asked) == 22
    assert found[-1].sha == many[-1].sha
    assert [bool(one.diff) for one in found].count(True) == 20
    assert "older commits are not told" in told(store).gap


def test_the_seconds_of_a_look_are_kept_and_the_next_look_goes_on(
    store: Store, server: ForgeServer, asked: Asking
) -> None:
    store.changes.record({"k": deployed()}, NOW)
    clock = Settable()
    original = server.answer

    def slow(request: object) -> object:
        clock.time += 4.0
        return original(request)  # type: ignore[arg-type]

    server.answer = slow  # type: ignore[method-assign, assignment]
    source = asked(server, clock)
    assert len(source.commits(DAY)) == 2
    assert "6 s for commits are used up" in told(store).gap
    clock.time = NOW
    assert all(one.diff for one in source.commits(DAY))


def test_doctor_learns_who_is_asked_and_that_a_token_is_wrong(
    store: Store, server: ForgeServer, asked: Asking
) -> None:
    told = asked(server, Settable())
    assert isinstance(told, RemoteSource)
    assert server.url in told.describe()
    assert told.problems() == ()
    wrong = ForgeAddress(server.url, SecretStr("stale"))
    source = connected(store.changes, Settable(), 6.0, github=wrong, gitlab=None)
    with pytest.raises(SourceError, match="401"):
        source.describe()
    source.close()
    assert "COPILOT_GITHUB_TOKEN" in connected(store.changes, Settable(), 6.0).problems()[0]
