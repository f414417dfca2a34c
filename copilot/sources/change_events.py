"""Changes that people and pipelines post: our own form, GitHub deployments, Argo CD applications.

Sources: GitHub's webhook events `deployment` and `deployment_status`; the Application of Argo CD,
as its notifications send it with `{{toJson .app}}`.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from copilot.alerts.formats.errors import PayloadError, from_validation
from copilot.alerts.formats.fields import CleanName, CleanText, Moment, Payload, clean
from tools.types import Change, ChangeKind, Timestamp

MOST = 1_000
AHEAD_S = 600.0

_KINDS: Mapping[ChangeKind, str] = {
    "deploy": "deploy deployment release rollout rollback upgrade version",
    "canary": "canary",
    "config": "config configuration settings env configmap secret",
    "scale": "scale scaling autoscale replicas",
    "flag": "flag feature_flag feature toggle experiment",
    "infrastructure": "infrastructure infra node network database terraform",
    "other": "other maintenance",
}
_KIND: Mapping[str, ChangeKind] = {w: kind for kind, words in _KINDS.items() for w in words.split()}


def _kind(given: object) -> object:
    word = given.strip().lower().replace("-", "_") if isinstance(given, str) else ""
    if word not in _KIND:
        raise ValueError(f"one of {', '.join(_KINDS)}")
    return _KIND[word]


class PostedChange(Payload):
    """Our own form. `id` makes a change told twice one change; without it its fields do."""

    id: CleanName = ""
    at: Moment = None
    service: Annotated[CleanName, Field(min_length=1)]
    kind: Annotated[ChangeKind, BeforeValidator(_kind)] = "deploy"
    from_version: CleanName = ""
    to_version: CleanName = ""
    summary: CleanText = ""


_POSTED = TypeAdapter(list[PostedChange])


def changes(document: object, now: Timestamp) -> dict[str, Change]:
    """Read one posted change or a list, keyed by identity; failed deployments are left out.

    A change of which nobody says when it was made was made now; then only its `id` keeps it from
    being told twice. Raises `PayloadError` with the place of what is wrong.
    """
    listed = document if isinstance(document, list) else [document]
    if len(listed) > MOST:
        raise PayloadError("", f"at most {MOST} changes in one request", listed)
    read = [one for item in listed if (one := _foreign(item)) is not None]
    try:
        posted = _POSTED.validate_python(read)
    except ValidationError as problem:
        raise from_validation(problem) from problem
    return dict(_change(one, now) for one in posted)


def _change(posted: PostedChange, now: Timestamp) -> tuple[str, Change]:
    at = now if posted.at is None else posted.at
    if at > now + AHEAD_S:
        raise PayloadError("at", "a moment that is not in the future", at)
    made = Change(at=min(at, now), **posted.model_dump(exclude={"id", "at"}))
    parts = [posted.id] if posted.id else [repr(value) for value in dict(made).values()]
    text = "\x00".join([made.service, *parts])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32], made


def _foreign(item: object) -> object:
    """Another's document in our form; ours as it is; None where it tells of no change."""
    if not isinstance(item, dict):
        return item
    if isinstance(item.get("deployment"), dict) and isinstance(item.get("repository"), dict):
        return _github(item["deployment"], item["repository"], item.get("deployment_status"))
    app = item.get("app", item)
    if isinstance(app, dict) and isinstance(app.get("metadata"), dict):
        return _argo(app)
    return item


def _github(
    deployment: Mapping[str, Any], repository: Mapping[str, Any], status: object
) -> dict[str, Any] | None:
    told = status if isinstance(status, dict) else {}
    if told.get("state") != "success":
        return None  # asked for, queued or failed: nothing has changed yet
    payload = deployment.get("payload")
    named = payload.get("service") if isinstance(payload, dict) else None
    environment = clean(str(deployment.get("environment") or ""), 100)
    return {
        "id": f"github {deployment.get('id')}",
        "at": told.get("updated_at") or told.get("created_at"),
        "service": named or repository.get("name") or "",
        "kind": "deploy",
        "to_version": str(deployment.get("sha") or deployment.get("ref") or "")[:12],
        "summary": f"{deployment.get('description') or 'GitHub deployment'} ({environment})",
    }


def _argo(app: Mapping[str, Any]) -> dict[str, Any] | None:
    status = app.get("status") if isinstance(app.get("status"), dict) else {}
    operation = _inside(status, "operationState")
    if operation.get("phase") != "Succeeded":
        return None
    revision = _inside(operation, "syncResult").get("revision") or ""
    history = status.get("history") if isinstance(status, dict) else None
    earlier = [
        str(one.get("revision"))
        for one in (history if isinstance(history, list) else ())
        if isinstance(one, dict) and one.get("revision") != revision
    ]
    return {
        "id": f"argo {operation.get('finishedAt')} {revision}",
        "at": operation.get("finishedAt"),
        "service": _inside(app, "metadata").get("name") or "",
        "kind": "deploy",
        "from_version": earlier[-1][:12] if earlier else "",
        "to_version": str(revision)[:12],
        "summary": "Argo CD synchronised",
    }


def _inside(document: object, name: str) -> Mapping[str, Any]:
    found = document.get(name) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}
