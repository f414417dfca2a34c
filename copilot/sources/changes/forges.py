"""GitHub and GitLab webhooks: what was pushed, deployed and released.

Sources: docs.github.com/webhooks/webhook-events-and-payloads (push, deployment, deployment_status,
release, workflow_run); docs.gitlab.com/user/project/integrations/webhook_events (push, deployment,
release events).
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from copilot.alerts.formats.fields import Payload, Word, as_object
from copilot.alerts.formats.sender import read_as
from copilot.sources.changes.posted import ChangeReading, PostedPush, Raw, one_change, posted

_ADDRESS = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^@/\s]*@)?|[\w.-]+@)(?P<host>[\w.-]+)(?::\d+)?[:/]"
    r"(?P<path>[\w.\-/~]+?)(?:\.git)?/?"
)
_NOWHERE = re.compile(r"0{40,64}")
_DEPLOYS = re.compile(r"deploy|release|publish|rollout|发布|部署|上线", re.IGNORECASE)


def repository_at(url: str) -> str:
    """`host/path` of a repository's address; empty where it is none.

    >>> repository_at("git@git.example.org:shop/cart.git")
    'git.example.org/shop/cart'
    >>> repository_at("https://github.com/shop/cart")
    'github.com/shop/cart'
    """
    match = _ADDRESS.fullmatch(url.strip()) if len(url) < 500 else None
    return f"{match['host'].lower()}/{match['path']}" if match else ""


class Login(Payload):
    """Somebody of GitHub or GitLab."""

    login: Raw = ""
    name: Raw = ""
    username: Raw = ""

    @property
    def shown(self) -> str:
        """The name a colleague would know."""
        return self.login or self.username or self.name


Person = Annotated[Login, BeforeValidator(as_object)]


class GitHubRepository(Payload):
    """Where it happened."""

    name: Word = Field(min_length=1)
    html_url: Raw = ""
    default_branch: Raw = ""


class PushedCommit(Payload):
    """A commit in a push of either forge: names of files, no lines."""

    id: Word = Field(min_length=1)
    message: Raw = ""
    timestamp: Any = None
    url: Raw = ""
    author: Person = Login()
    added: tuple[Raw, ...] = ()
    removed: tuple[Raw, ...] = ()
    modified: tuple[Raw, ...] = ()


class GitPush(Payload):
    """A push of either forge."""

    ref: Word = Field(min_length=1)
    after: Word = ""
    commits: tuple[PushedCommit, ...] = ()


def _push(push: GitPush, repository: str, default_branch: str) -> ChangeReading:
    branch = push.ref.removeprefix("refs/heads/")
    if branch == push.ref:
        return "a tag: what is deployed is told by deployments and releases"
    if _NOWHERE.fullmatch(push.after):
        return f"the branch {branch[:60]!r} was deleted"
    if default_branch and branch != default_branch:
        return f"{branch[:60]!r} is not the default branch {default_branch[:60]!r}"
    commits = [
        {
            "sha": one.id,
            "at": one.timestamp,
            "author": one.author.shown,
            "message": one.message,
            "url": one.url,
            "files": [*one.added, *one.removed, *one.modified],
        }
        for one in push.commits
    ]
    return (posted(PostedPush, {"repository": repository, "commits": commits}, ""),)


class GitHubDeployment(Payload):
    """What was deployed; `payload` is free, and may name the service."""

    id: Word = ""
    sha: Word = ""
    ref: Word = ""
    environment: Word = ""
    description: Raw = ""
    payload: Any = None
    creator: Person = Login()


class GitHubDeploymentStatus(Payload):
    """How far a deployment is."""

    state: Word = ""
    updated_at: Any = None
    created_at: Any = None
    target_url: Raw = ""
    log_url: Raw = ""
    creator: Person = Login()


class GitHubDeploymentEvent(Payload):
    """`deployment` and `deployment_status`."""

    deployment: GitHubDeployment
    deployment_status: GitHubDeploymentStatus | None = None
    repository: GitHubRepository


def _github_deployment(document: Mapping[str, Any], service: str) -> ChangeReading:
    event = read_as(GitHubDeploymentEvent, document)
    made, status = event.deployment, event.deployment_status
    if status is None or status.state != "success":
        state = status.state if status is not None else "created"
        return f"the deployment is {state[:40]!r}: nothing has changed before it is 'success'"
    named = made.payload.get("service") if isinstance(made.payload, dict) else None
    return one_change(
        id=f"github {made.id}",
        at=status.updated_at or status.created_at,
        service=service or named or event.repository.name,
        to_version=made.sha[:12] or made.ref,
        summary=made.description or "GitHub deployment",
        environment=made.environment,
        author=made.creator.shown or status.creator.shown,
        url=status.log_url or status.target_url,
        repository=repository_at(event.repository.html_url),
        revision=made.sha,
    )


class GitHubRelease(Payload):
    """A release; `target_commitish` is a branch or a commit."""

    tag_name: Word = Field(min_length=1)
    name: Raw = ""
    target_commitish: Word = ""
    html_url: Raw = ""
    published_at: Any = None
    author: Person = Login()


class GitHubReleaseEvent(Payload):
    """`release`."""

    action: Word = ""
    release: GitHubRelease
    repository: GitHubRepository


def _github_release(document: Mapping[str, Any], service: str) -> ChangeReading:
    event = read_as(GitHubReleaseEvent, document)
    if event.action not in ("published", "released"):
        return f"the release was {event.action[:40]!r}, not published"
    made = event.release
    return one_change(
        id=f"github release {made.tag_name}",
        at=made.published_at,
        service=service or event.repository.name,
        to_version=made.tag_name,
        summary=f"release {made.name or made.tag_name}",
        author=made.author.shown,
        url=made.html_url,
        repository=repository_at(event.repository.html_url),
        # A tag is a revision, too: what was published is found by it.
        revision=made.tag_name,
    )


class GitHubRun(Payload):
    """A run of a workflow."""

    id: Word = ""
    name: Raw = ""
    path: Raw = ""
    head_sha: Word = ""
    event: Word = ""
    conclusion: Word = ""
    html_url: Raw = ""
    updated_at: Any = None
    actor: Person = Login()


class GitHubRunEvent(Payload):
    """`workflow_run`."""

    action: Word = ""
    workflow_run: GitHubRun
    repository: GitHubRepository


def _github_run(document: Mapping[str, Any], service: str) -> ChangeReading:
    """A workflow deploys where its name or file says so; the others test and build."""
    event = read_as(GitHubRunEvent, document)
    run = event.workflow_run
    if event.action != "completed" or run.conclusion != "success":
        return f"the run is {run.conclusion[:40] or event.action[:40]!r}: it has changed nothing"
    if run.event.startswith("pull_request") or not _DEPLOYS.search(f"{run.name} {run.path}"):
        return f"the workflow {run.name[:60]!r} deploys nothing, as far as its name says"
    return one_change(
        id=f"github run {run.id}",
        at=run.updated_at,
        service=service or event.repository.name,
        to_version=run.head_sha[:12],
        summary=f"workflow {run.name}",
        author=run.actor.shown,
        url=run.html_url,
        repository=repository_at(event.repository.html_url),
        revision=run.head_sha,
    )


class GitHubPushed(Payload):
    """The repository of a push."""

    repository: GitHubRepository


def _github_push(document: Mapping[str, Any], _service: str) -> ChangeReading:
    there = read_as(GitHubPushed, document).repository
    push = read_as(GitPush, document)
    return _push(push, repository_at(there.html_url), there.default_branch)


ForgeEvents = Mapping[str, tuple[str, Callable[[Mapping[str, Any], str], ChangeReading]]]

GITHUB: ForgeEvents = {
    "deployment_status": ("deployment_status", _github_deployment),
    "deployment": ("deployment", _github_deployment),
    "workflow_run": ("workflow_run", _github_run),
    "release": ("release", _github_release),
    "push": ("commits", _github_push),
}
"""Events by their name in `X-GitHub-Event`: a field that only they have, and the reader."""


def github(document: Mapping[str, Any], service: str, event: str) -> ChangeReading:
    """Read one webhook; an event that tells of no change is named."""
    name = event or next((name for name, (field, _) in GITHUB.items() if field in document), "")
    if name in GITHUB:
        return GITHUB[name][1](document, service)
    return f"{name[:60] or 'it'!r} is none of the events that are read: {', '.join(GITHUB)}"


class GitLabProject(Payload):
    """Where it happened."""

    name: Word = ""
    path_with_namespace: Word = Field(min_length=1)
    web_url: Raw = ""
    default_branch: Raw = ""

    @property
    def service(self) -> str:
        """The last part of its path, which is a name rather than a title."""
        return self.path_with_namespace.rpartition("/")[2]


class GitLabCommit(Payload):
    """The commit of a release."""

    id: Word = ""


class GitLabEvent(Payload):
    """Deployment and release: one reader, since each leaves out what the other has."""

    status: Word = ""
    action: Word = ""
    status_changed_at: Any = None
    released_at: Any = None
    deployment_id: Word = ""
    deployable_url: Raw = ""
    environment: Word = ""
    commit_url: Raw = ""
    commit_title: Raw = ""
    short_sha: Word = ""
    tag: Word = ""
    name: Raw = ""
    url: Raw = ""
    user: Person = Login()
    commit: Annotated[GitLabCommit, BeforeValidator(as_object)] = GitLabCommit()
    project: GitLabProject


def _gitlab_deployment(document: Mapping[str, Any], service: str) -> ChangeReading:
    event = read_as(GitLabEvent, document)
    if event.status != "success":
        return f"the deployment is {event.status[:40]!r}: nothing has changed before 'success'"
    sha = event.commit_url.rpartition("/")[2]
    return one_change(
        id=f"gitlab {event.deployment_id}",
        at=event.status_changed_at,
        service=service or event.project.service,
        to_version=sha[:12] or event.short_sha,
        summary=event.commit_title or "GitLab deployment",
        environment=event.environment,
        author=event.user.shown,
        url=event.deployable_url,
        repository=repository_at(event.project.web_url),
        revision=sha or event.short_sha,
    )


def _gitlab_release(document: Mapping[str, Any], service: str) -> ChangeReading:
    event = read_as(GitLabEvent, document)
    if event.action != "create":
        return f"the release was {event.action[:40]!r}, not created"
    return one_change(
        id=f"gitlab release {event.tag}",
        at=event.released_at,
        service=service or event.project.service,
        to_version=event.tag,
        summary=f"release {event.name or event.tag}",
        url=event.url,
        repository=repository_at(event.project.web_url),
        revision=event.commit.id or event.tag,
    )


class GitLabPushed(Payload):
    """The project of a push."""

    project: GitLabProject


def _gitlab_push(document: Mapping[str, Any], _service: str) -> ChangeReading:
    project = read_as(GitLabPushed, document).project
    push = read_as(GitPush, document)
    return _push(push, repository_at(project.web_url), project.default_branch)


_GITLAB: Mapping[str, Callable[[Mapping[str, Any], str], ChangeReading]] = {
    "push": _gitlab_push,
    "deployment": _gitlab_deployment,
    "release": _gitlab_release,
}


def gitlab(document: Mapping[str, Any], service: str) -> ChangeReading:
    """Read one webhook by its `object_kind`; an event that tells of no change is named."""
    kind = str(document.get("object_kind"))
    if kind in _GITLAB:
        return _GITLAB[kind](document, service)
    return f"{kind[:60]!r} is none of the events that are read: {', '.join(_GITLAB)}"
