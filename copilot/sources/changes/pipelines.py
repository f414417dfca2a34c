"""What GitOps controllers, infrastructure tools and migrations post of what they changed.

Sources: Argo CD `Application` as notifications send it (`{{toJson .app}}`); fluxcd/pkg
apis/event/v1beta1; `helm history -o json`; developer.hashicorp.com notification-configurations (run
payload); the Ansible callback `ansible.posix.json`; Flyway's `-outputType=json`; cdevents.dev 0.4.
"""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import unquote

from pydantic import BeforeValidator, Field

from copilot.alerts.formats.errors import PayloadError
from copilot.alerts.formats.fields import Payload, Word, as_object
from copilot.alerts.formats.sender import read_as
from copilot.sources.changes.forges import repository_at
from copilot.sources.changes.posted import (
    NO_SERVICE,
    ChangeReading,
    PostedChange,
    PostedItem,
    Raw,
    one_change,
    posted,
)

Object = Mapping[str, Any]


class ArgoSource(Payload):
    """Where an application comes from."""

    repoURL: Raw = ""


class ArgoRevision(Payload):
    """What was synchronised."""

    revision: Word = ""
    source: Annotated[ArgoSource, BeforeValidator(as_object)] = ArgoSource()


class ArgoInitiator(Payload):
    """Who asked for it."""

    username: Raw = ""
    automated: bool = False


class ArgoRequest(Payload):
    """What was asked for."""

    initiatedBy: ArgoInitiator = ArgoInitiator()


class ArgoOperation(Payload):
    """The last synchronisation."""

    phase: Word = ""
    finishedAt: Any = None
    operation: ArgoRequest = ArgoRequest()
    syncResult: ArgoRevision = ArgoRevision()


class ArgoStatus(Payload):
    """How it stands."""

    operationState: ArgoOperation = ArgoOperation()
    history: Annotated[tuple[ArgoRevision, ...], BeforeValidator(lambda h: h or ())] = ()


class ArgoMetadata(Payload):
    """Its name."""

    name: Word = Field(min_length=1)


class ArgoSpec(Payload):
    """What is wanted."""

    source: Annotated[ArgoSource, BeforeValidator(as_object)] = ArgoSource()


class ArgoApplication(Payload):
    """An application of Argo CD."""

    metadata: ArgoMetadata
    spec: ArgoSpec = ArgoSpec()
    status: ArgoStatus = ArgoStatus()


def argo(document: Object, service: str) -> ChangeReading:
    """Read an application; its history holds the revision that ran before."""
    app = read_as(ArgoApplication, document.get("app", document))
    operation = app.status.operationState
    if operation.phase != "Succeeded":
        return f"the synchronisation is {operation.phase[:40]!r}, not 'Succeeded'"
    revision = operation.syncResult.revision
    before = [one.revision for one in app.status.history if one.revision != revision]
    who = operation.operation.initiatedBy
    return one_change(
        id=f"argo {operation.finishedAt} {revision}",
        at=operation.finishedAt,
        service=service or app.metadata.name,
        from_version=before[-1][:12] if before else "",
        to_version=revision[:12],
        summary="Argo CD synchronised",
        author=who.username or ("automated sync" if who.automated else ""),
        repository=repository_at(
            operation.syncResult.source.repoURL or app.spec.source.repoURL  # several: the first
        ),
        from_revision=before[-1] if before else "",
        revision=revision,
    )


class FluxObject(Payload):
    """What an event is about."""

    kind: Word = ""
    namespace: Word = ""
    name: Word = Field(min_length=1)


class FluxEvent(Payload):
    """An event of a Flux controller."""

    involvedObject: FluxObject
    severity: Word = ""
    timestamp: Any = None
    message: Raw = ""
    reason: Word = ""
    metadata: Annotated[dict[str, Any], BeforeValidator(as_object)] = {}

    @property
    def revision(self) -> str:
        """The source's revision, under whichever controller's name."""
        keys = (key for key in self.metadata if key == "revision" or key.endswith("/revision"))
        return str(self.metadata.get(next(keys, ""), ""))


_APPLIED = frozenset(
    {"ReconciliationSucceeded", "InstallSucceeded", "UpgradeSucceeded", "RollbackSucceeded"}
)


def flux(document: Object, service: str) -> ChangeReading:
    """Read an event of the notification controller: what was applied, of which revision.

    A revision reads `main@sha1:<commit>`; a chart's is its version.
    """
    event = read_as(FluxEvent, document)
    if event.severity != "info" or event.reason not in _APPLIED:
        return f"{event.reason[:60]!r} ({event.severity[:20]}) tells of nothing that was applied"
    commit = event.revision.rpartition(":")[2] if "sha" in event.revision else ""
    about = event.involvedObject
    return one_change(
        id=f"flux {about.kind}/{about.namespace}/{about.name} {event.revision or event.timestamp}",
        at=event.timestamp,
        service=service or about.name,
        to_version=commit[:12] or event.revision[:60],
        summary=event.message or f"Flux {event.reason}",
        revision=commit,
    )


class HelmRevision(Payload):
    """A line of `helm history -o json`."""

    revision: Word = Field(min_length=1)
    updated: Any = None
    status: Word = ""
    chart: Raw = ""
    app_version: Word = ""
    description: Raw = ""


class HelmHistory(Payload):
    """A release's history with its name, or the bare list and `?service=`."""

    release: Word = ""
    history: tuple[HelmRevision, ...]


def helm(document: Object, service: str) -> ChangeReading:
    """Read the history of a release; one posted again adds only what is new."""
    history = read_as(HelmHistory, document)
    name = service or history.release
    if not name:
        raise PayloadError("release", NO_SERVICE)
    found: list[PostedItem] = []
    before = ""
    for one in history.history:
        if one.status in ("deployed", "superseded"):
            version = one.app_version or one.chart
            fields = {
                "id": f"helm {name} {one.revision} {one.updated}",
                "at": one.updated,
                "service": name,
                "from_version": before,
                "to_version": version,
                "summary": f"Helm revision {one.revision}, {one.chart}: {one.description}",
            }
            found.append(posted(PostedChange, fields, "history"))
            before = version
    return tuple(found) or "no revision of it is deployed"


class TerraformNotice(Payload):
    """How far a run is."""

    run_status: Word = ""
    run_updated_at: Any = None
    run_updated_by: Raw = ""


class TerraformRun(Payload):
    """A run of HCP Terraform or Terraform Enterprise."""

    run_id: Word = ""
    run_url: Raw = ""
    run_message: Raw = ""
    run_created_by: Raw = ""
    workspace_name: Word = ""
    notifications: tuple[TerraformNotice, ...] = ()


def terraform(document: Object, service: str) -> ChangeReading:
    """Read a notification; only an applied run has changed anything."""
    run = read_as(TerraformRun, document)
    applied = [one for one in run.notifications if one.run_status == "applied"]
    if not applied or not run.workspace_name:
        states = ", ".join(one.run_status[:40] for one in run.notifications[:3]) or "a test"
        return f"the run is {states!r}: nothing has changed before it is 'applied'"
    return one_change(
        id=f"terraform {run.run_id}",
        at=applied[-1].run_updated_at,
        service=service or run.workspace_name,
        kind="infrastructure",
        to_version=run.run_id,
        summary=f"Terraform applied {run.workspace_name}: {run.run_message}",
        author=applied[-1].run_updated_by or run.run_created_by,
        url=run.run_url,
    )


class AnsibleHost(Payload):
    """What a task did to a host; `diff` is there where the play ran with `--diff`."""

    changed: bool = False


class AnsibleName(Payload):
    """Name and time of a play or a task."""

    name: Raw = ""
    duration: Annotated[dict[str, Any], BeforeValidator(as_object)] = {}


class AnsibleTask(Payload):
    """A task with its hosts."""

    task: AnsibleName = AnsibleName()
    hosts: dict[str, AnsibleHost] = {}


class AnsiblePlay(Payload):
    """A play with its tasks."""

    play: AnsibleName = AnsibleName()
    tasks: tuple[AnsibleTask, ...] = ()


class AnsibleRun(Payload):
    """What the callback writes at the end of a run."""

    plays: tuple[AnsiblePlay, ...]


def ansible(document: Object, service: str) -> ChangeReading:
    """Read a run: the tasks that changed a host. Its inventory names machines, no services."""
    run = read_as(AnsibleRun, document)
    names = [
        one.task.name
        for play in run.plays
        for one in play.tasks
        if any(host.changed for host in one.hosts.values())
    ]
    if not names:
        return "no task of the run has changed anything"
    if not service:
        raise PayloadError("service", NO_SERVICE)
    title = next((play.play.name for play in run.plays if play.play.name), "a play")
    return one_change(
        at=run.plays[-1].play.duration.get("end"),
        service=service,
        kind="infrastructure",
        summary=f"Ansible {title}: {len(names)} tasks changed something: {', '.join(names[:8])}",
    )


class FlywayMigration(Payload):
    """A migration that ran."""

    version: Word = ""
    description: Raw = ""
    filepath: Raw = ""


class FlywayRun(Payload):
    """What `flyway migrate -outputType=json` prints."""

    initialSchemaVersion: Word = ""
    targetSchemaVersion: Word = ""
    database: Word = ""
    schemaName: Word = ""
    migrations: tuple[FlywayMigration, ...] = ()


def flyway(document: Object, service: str) -> ChangeReading:
    """Read a run; Alembic and Liquibase have no such output and post the form of ours."""
    run = read_as(FlywayRun, document)
    if not run.migrations:
        return "no migration was run"
    name = service or run.database or run.schemaName
    if not name:
        raise PayloadError("database", NO_SERVICE)
    said = ", ".join(f"V{one.version} {one.description}" for one in run.migrations[:8])
    return one_change(
        id=f"flyway {name} {run.targetSchemaVersion}" if run.targetSchemaVersion else "",
        service=name,
        kind="infrastructure",
        from_version=run.initialSchemaVersion,
        to_version=run.targetSchemaVersion,
        summary=f"{len(run.migrations)} migrations: {said}",
    )


class CdContext(Payload):
    """Which event, when."""

    id: Word = ""
    type: Word = Field(min_length=1)
    timestamp: Any = None


class CdSubject(Payload):
    """What it is about."""

    id: Word = Field(min_length=1)
    content: Annotated[dict[str, Any], BeforeValidator(as_object)] = {}


class CdEvent(Payload):
    """A CDEvent."""

    context: CdContext
    subject: CdSubject
    customData: Any = None


_CD_KINDS = {
    "service.deployed": "deploy",
    "service.upgraded": "deploy",
    "service.rolledback": "deploy",
    "service.removed": "deploy",
    "environment.modified": "infrastructure",
}


def cdevents(document: Object, service: str) -> ChangeReading:
    """Read a CDEvent: `dev.cdevents.<subject>.<predicate>.<version>`.

    A commit that is known to the sender stands in `customData`, in our own form.
    """
    event = read_as(CdEvent, document)
    name = ".".join(event.context.type.removeprefix("dev.cdevents.").split(".")[:2])
    if name not in _CD_KINDS:
        return f"{name[:60]!r} is none of the events that change a system: {', '.join(_CD_KINDS)}"
    content = event.subject.content
    where = content.get("environment")
    artifact = unquote(str(content.get("artifactId") or ""))
    own = event.customData if isinstance(event.customData, dict) else {}
    fields = {
        "id": f"cdevents {event.context.id}" if event.context.id else "",
        "at": event.context.timestamp,
        "service": service or event.subject.id.rpartition("/")[2],
        "kind": _CD_KINDS[name],
        "to_version": artifact.rpartition("@")[2][:60],
        "summary": f"{name} {artifact}".strip(),
        "environment": str(where.get("id") or "") if isinstance(where, dict) else "",
    }
    return one_change("customData", **{**own, **{k: v for k, v in fields.items() if v}})
