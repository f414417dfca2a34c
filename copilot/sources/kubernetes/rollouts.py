"""Rollouts as the cluster keeps them: what each revision of a workload changed in its pods.

Source: kubernetes.io/docs/concepts/workloads/controllers/deployment (revisions are replica sets
with `deployment.kubernetes.io/revision`, change causes an annotation) and
/docs/reference/kubernetes-api/workload-resources/controller-revision-v1 (stateful and daemon sets).
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import yaml
from pydantic import JsonValue

from copilot.alerts.formats.fields import moment
from copilot.sources.changes.posted import MOST_DIFF, safe, safe_lines
from copilot.sources.kubernetes.pod_spec import Json, integer, items, mapping
from copilot.sources.kubernetes.redaction import harmless
from tools.log_retriever import Vault
from tools.types import Change, Commit, Timestamp, Window

REVISION = "deployment.kubernetes.io/revision"
CAUSE = "kubernetes.io/change-cause"

_BY_CONTROLLERS = frozenset({"pod-template-hash", "controller-revision-hash"})


class WorkloadRevision(NamedTuple):
    """One revision of a workload: its number, when it came to be, and its pods."""

    kind: str
    namespace: str
    name: str
    number: int
    at: Timestamp
    template: Json
    cause: str = ""


def rollouts(
    replica_sets: Iterable[Json],
    controller_revisions: Iterable[Json],
    deployments: Iterable[Json],
    window: Window,
) -> list[Change]:
    """The rollouts inside the window, with the lines of the pod template that each changed."""
    found: dict[tuple[str, str, str], list[WorkloadRevision]] = {}
    progressed = {_identity(one): _progressed(one) for one in deployments}
    read: tuple[tuple[Iterable[Json], Callable[[Json], WorkloadRevision | None]], ...] = (
        (replica_sets, _of_replica_set),
        (controller_revisions, _of_controller),
    )
    for documents, reader in read:
        for one in filter(None, map(reader, documents)):
            found.setdefault((one.kind, one.namespace, one.name), []).append(one)
    return [
        change
        for revisions in found.values()
        for change in _changes(sorted(revisions, key=lambda one: one.number), progressed)
        if change.at in window
    ]


def _changes(
    revisions: list[WorkloadRevision], progressed: Mapping[tuple[str, str], Timestamp]
) -> Iterator[Change]:
    """What each revision changed; one that was rolled back to is older than the one before it."""
    vault = Vault()
    for before, now in zip(revisions, revisions[1:], strict=False):
        at = now.at
        if now.at < before.at:
            at = progressed.get((now.namespace, now.name), before.at)
        diff = safe_lines(_diff(before, now), vault, MOST_DIFF)
        if not diff:
            continue
        where = f"{now.kind.lower()}/{now.name}"
        images = [_images(one.template) for one in (before, now)]
        said = safe(now.cause, vault, 200) or f"{now.kind} revision {now.number}"
        made = Commit(
            sha=f"{where} revision {now.number}", at=at, message=said, files=(where,), diff=diff
        )
        yield Change(
            at=at,
            service=now.name,
            kind="deploy" if images[0] != images[1] else "config",
            from_version=images[0],
            to_version=images[1],
            summary=said,
            commits=(made,),
        )


def _diff(before: WorkloadRevision, now: WorkloadRevision) -> str:
    old, new = (_shown(one.template).splitlines() for one in (before, now))
    path = f"{now.kind.lower()}/{now.name}"
    lines = difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", n=2, lineterm="")
    return "\n".join(lines)


def _shown(template: Json) -> str:
    """The pod template as YAML, settings by their names, those of secrets without their values."""
    meta = mapping(template.get("metadata"))
    labels = {k: v for k, v in mapping(meta.get("labels")).items() if k not in _BY_CONTROLLERS}
    annotations = {
        name: harmless(name, str(value)) for name, value in mapping(meta.get("annotations")).items()
    }
    spec = dict(mapping(template.get("spec")))
    for field in ("initContainers", "containers"):
        if spec.get(field):
            spec[field] = [_container(one) for one in items(spec[field])]
    shown = {"labels": labels, "annotations": annotations, **spec}
    return yaml.safe_dump(shown, sort_keys=True, default_flow_style=False, width=400)


def _container(container: Json) -> dict[str, JsonValue]:
    settings: dict[str, JsonValue] = {}
    for one in items(container.get("env")):
        name = str(one.get("name"))
        source = next(iter(mapping(one.get("valueFrom")).items()), None)
        if source is None:
            settings[name] = harmless(name, str(one.get("value") or ""))
        else:
            settings[name] = f"{source[0]} {mapping(source[1]).get('name') or ''}".strip()
    rest = {key: value for key, value in container.items() if key != "env"}
    return {**rest, "env": settings} if settings else rest


def _images(template: Json) -> str:
    """Tags or digests of the images, as a version: what stands after the last `:` or `@`."""
    images = (str(one.get("image") or "") for one in items(_spec(template).get("containers")))
    tags = (image.rpartition("/")[2].partition("@")[2] or _tag(image) for image in images)
    return ", ".join(tag for tag in tags if tag)[:100]


def _tag(image: str) -> str:
    return image.rpartition("/")[2].partition(":")[2]


def _spec(template: Json) -> Json:
    return mapping(template.get("spec"))


def _identity(document: Json) -> tuple[str, str]:
    meta = mapping(document.get("metadata"))
    return str(meta.get("namespace") or ""), str(meta.get("name") or "")


def _progressed(deployment: Json) -> Timestamp:
    """When a deployment last made progress: a rollback makes no replica set, but moves pods."""
    told = [
        one.get("lastUpdateTime")
        for one in items(mapping(deployment.get("status")).get("conditions"))
        if one.get("type") == "Progressing"
    ]
    return _at(told[0]) if told else 0.0


def _at(given: object) -> Timestamp:
    try:
        return moment(given) or 0.0
    except ValueError:
        return 0.0


def _owner_of(document: Json, kinds: tuple[str, ...]) -> tuple[str, str] | None:
    for one in items(mapping(document.get("metadata")).get("ownerReferences")):
        if one.get("kind") in kinds and one.get("name"):
            return str(one["kind"]), str(one["name"])
    return None


def _of_replica_set(document: Json) -> WorkloadRevision | None:
    meta = mapping(document.get("metadata"))
    owner = _owner_of(document, ("Deployment",))
    notes = mapping(meta.get("annotations"))
    number = integer(notes.get(REVISION))
    if owner is None or number is None:
        return None
    template = mapping(mapping(document.get("spec")).get("template"))
    return WorkloadRevision(
        owner[0],
        str(meta.get("namespace") or ""),
        owner[1],
        number,
        _at(meta.get("creationTimestamp")),
        template,
        str(notes.get(CAUSE) or ""),
    )


def _of_controller(document: Json) -> WorkloadRevision | None:
    meta = mapping(document.get("metadata"))
    owner = _owner_of(document, ("StatefulSet", "DaemonSet"))
    number = integer(document.get("revision"))
    if owner is None or number is None:
        return None
    spec = mapping(mapping(document.get("data")).get("spec"))
    return WorkloadRevision(
        owner[0],
        str(meta.get("namespace") or ""),
        owner[1],
        number,
        _at(meta.get("creationTimestamp")),
        mapping(spec.get("template")),
        str(mapping(meta.get("annotations")).get(CAUSE) or ""),
    )
