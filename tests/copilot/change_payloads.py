"""Documents as senders of changes post them, in words of our own; fields from their documents."""

from typing import Any

SHA, BEFORE = "c1" * 20, "b0" * 20
REPOSITORY = {
    "name": "cart",
    "html_url": "https://github.com/shop/cart",
    "default_branch": "main",
}
PROJECT = {
    "id": 7,
    "name": "Shopping cart",
    "path_with_namespace": "shop/cart",
    "web_url": "https://gitlab.com/shop/cart",
    "default_branch": "main",
}
PUSHED = {
    "id": SHA,
    "message": "Shrink the pool\n\nreviewed by password=hunter2hunter2",
    "timestamp": "2025-12-31T23:40:00Z",
    "url": f"https://github.com/shop/cart/commit/{SHA}",
    "author": {"name": "Lin", "email": "lin@shop.example", "username": "lin"},
    "added": [],
    "removed": ["old.yaml"],
    "modified": ["pool.yaml"],
}
GITHUB_PUSH: dict[str, Any] = {
    "ref": "refs/heads/main",
    "before": BEFORE,
    "after": SHA,
    "repository": REPOSITORY,
    "commits": [PUSHED],
    "pusher": {"name": "lin"},
}
GITHUB_DEPLOYED: dict[str, Any] = {
    "action": "created",
    "deployment_status": {
        "id": 1,
        "state": "success",
        "created_at": "2025-12-31T23:58:20Z",
        "log_url": "https://ci.shop.example/runs/9",
        "creator": {"login": "deploy-bot"},
    },
    "deployment": {
        "id": 7,
        "sha": SHA,
        "ref": "main",
        "environment": "production",
        "description": None,
        "payload": {},
        "creator": {"login": "lin"},
    },
    "repository": REPOSITORY,
}
GITHUB_RELEASE: dict[str, Any] = {
    "action": "published",
    "release": {
        "tag_name": "v1.4.0",
        "name": "Autumn",
        "target_commitish": "main",
        "html_url": "https://github.com/shop/cart/releases/v1.4.0",
        "published_at": "2025-12-31T23:58:20Z",
        "author": {"login": "lin"},
    },
    "repository": REPOSITORY,
}
GITHUB_RUN: dict[str, Any] = {
    "action": "completed",
    "workflow_run": {
        "id": 30,
        "name": "Deploy",
        "path": ".github/workflows/ship.yml",
        "head_sha": SHA,
        "event": "push",
        "conclusion": "success",
        "html_url": "https://github.com/shop/cart/actions/runs/30",
        "updated_at": "2025-12-31T23:58:20Z",
        "actor": {"login": "lin"},
    },
    "repository": REPOSITORY,
}
GITLAB_PUSH: dict[str, Any] = {
    "object_kind": "push",
    "ref": "refs/heads/main",
    "before": BEFORE,
    "after": SHA,
    "project": PROJECT,
    "commits": [PUSHED],
}
GITLAB_DEPLOYED: dict[str, Any] = {
    "object_kind": "deployment",
    "status": "success",
    "status_changed_at": "2026-01-01 00:58:20 +0100",
    "deployment_id": 15,
    "deployable_url": "https://gitlab.com/shop/cart/-/jobs/796",
    "environment": "production",
    "environment_tier": "production",
    "project": PROJECT,
    "short_sha": SHA[:8],
    "user": {"name": "Lin", "username": "lin"},
    "commit_url": f"https://gitlab.com/shop/cart/-/commit/{SHA}",
    "commit_title": "Shrink the pool",
}
GITLAB_RELEASE: dict[str, Any] = {
    "object_kind": "release",
    "action": "create",
    "tag": "v1.4.0",
    "name": "Autumn",
    "released_at": "2025-12-31T23:58:20Z",
    "url": "https://gitlab.com/shop/cart/-/releases/v1.4.0",
    "project": PROJECT,
    "commit": {"id": SHA},
}
ARGO: dict[str, Any] = {
    "app": {
        "metadata": {"name": "cart", "namespace": "argocd"},
        "spec": {"source": {"repoURL": "https://github.com/shop/manifests.git", "path": "cart"}},
        "status": {
            "operationState": {
                "phase": "Succeeded",
                "finishedAt": "2025-12-31T23:58:20Z",
                "operation": {"initiatedBy": {"username": "lin"}},
                "syncResult": {"revision": SHA},
            },
            "history": [{"revision": BEFORE}, {"revision": SHA}],
        },
    }
}
FLUX: dict[str, Any] = {
    "involvedObject": {"kind": "Kustomization", "namespace": "apps", "name": "cart"},
    "severity": "info",
    "timestamp": "2025-12-31T23:58:20Z",
    "message": "Deployment/shop/cart configured",
    "reason": "ReconciliationSucceeded",
    "metadata": {"kustomize.toolkit.fluxcd.io/revision": f"main@sha1:{SHA}"},
    "reportingController": "kustomize-controller",
}
FLUX_HELM: dict[str, Any] = {
    "involvedObject": {"kind": "HelmRelease", "namespace": "apps", "name": "cart"},
    "severity": "info",
    "timestamp": "2025-12-31T23:58:20Z",
    "message": "Helm upgrade succeeded for release apps/cart.v2 with chart cart@1.4.0",
    "reason": "UpgradeSucceeded",
    "metadata": {"helm.toolkit.fluxcd.io/revision": "1.4.0"},
    "reportingController": "helm-controller",
}
HELM: list[Any] = [
    {
        "revision": 1,
        "updated": "2025-12-31T20:00:00Z",
        "status": "superseded",
        "chart": "cart-1.3.0",
        "app_version": "1.3.0",
        "description": "Install complete",
    },
    {
        "revision": 2,
        "updated": "2025-12-31T23:58:20.5+00:00",
        "status": "deployed",
        "chart": "cart-1.4.0",
        "app_version": "1.4.0",
        "description": "Upgrade complete",
    },
]
LAUNCHDARKLY: dict[str, Any] = {
    "_links": {},
    "_id": "65a0",
    "date": 1767225500000,
    "kind": "flag",
    "name": "new checkout",
    "accesses": [
        {"action": "updateOn", "resource": "proj/cart:env/production:flag/new-checkout;beta"}
    ],
    "member": {"email": "lin@shop.example", "firstName": "Lin", "lastName": "Ma"},
    "titleVerb": "turned on the flag",
    "comment": "for everybody",
    "previousVersion": {"on": False, "rollout": {"weight": 10}},
    "currentVersion": {"on": True, "rollout": {"weight": 10}},
}
UNLEASH: dict[str, Any] = {
    "id": 28,
    "type": "feature-environment-enabled",
    "createdBy": "lin",
    "createdAt": "2025-12-31T23:58:20Z",
    "data": None,
    "preData": None,
    "tags": [],
    "featureName": "new-checkout",
    "project": "cart",
    "environment": "production",
}
FLAGD: dict[str, Any] = {
    "type": "configuration_change",
    "data": {"flags": {"new-checkout": {"type": "update", "source": "flags.json"}}},
}
OPENFEATURE: dict[str, Any] = {
    "providerName": "flagd",
    "domain": "cart",
    "message": "one flag moved",
    "flagsChanged": ["new-checkout"],
}
TERRAFORM: dict[str, Any] = {
    "payload_version": 1,
    "notification_configuration_id": "nc-1",
    "run_url": "https://app.terraform.io/app/shop/cart/runs/run-9",
    "run_id": "run-9",
    "run_message": "a smaller database",
    "run_created_by": "lin",
    "workspace_name": "cart",
    "organization_name": "shop",
    "notifications": [
        {
            "message": "Run Applied",
            "trigger": "run:completed",
            "run_status": "applied",
            "run_updated_at": "2025-12-31T23:58:20.000Z",
            "run_updated_by": "lin",
        }
    ],
}
ANSIBLE: dict[str, Any] = {
    "plays": [
        {
            "play": {"name": "web servers", "duration": {"end": "2025-12-31T23:58:20Z"}},
            "tasks": [
                {"task": {"name": "set the pool"}, "hosts": {"web-1": {"changed": True}}},
                {"task": {"name": "look"}, "hosts": {"web-1": {"changed": False}}},
            ],
        }
    ],
    "stats": {"web-1": {"changed": 1, "failures": 0, "ok": 2}},
}
FLYWAY: dict[str, Any] = {
    "initialSchemaVersion": "11",
    "targetSchemaVersion": "12",
    "schemaName": "public",
    "database": "cart",
    "migrations": [{"version": "12", "description": "drop index", "filepath": "V12.sql"}],
    "migrationsExecuted": 1,
    "success": True,
    "flywayVersion": "10.1",
}
CDEVENT: dict[str, Any] = {
    "context": {
        "version": "0.4.1",
        "id": "a1",
        "source": "/ci",
        "type": "dev.cdevents.service.deployed.0.2.0",
        "timestamp": "2025-12-31T23:58:20Z",
    },
    "subject": {
        "id": "/services/cart",
        "type": "service",
        "content": {
            "environment": {"id": "production"},
            "artifactId": "pkg:oci/cart@sha256%3A0b31b1c0",
        },
    },
    "customData": {"author": "lin", "revision": SHA, "repository": "github.com/shop/cart"},
}
CLOUDEVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "a1",
    "source": "/ci",
    "type": "shop.changed",
    "time": "2025-12-31T23:58:20Z",
    "data": {"service": "cart", "kind": "config", "summary": "pool of 5"},
}
MIGRATION: dict[str, Any] = {
    "service": "cart",
    "kind": "migration",
    "at": "2025-12-31T23:58:20Z",
    "to_version": "9f2c",
    "summary": "alembic upgrade head",
    "author": "lin",
    "files": [{"path": "versions/9f2c.py", "diff": "+    op.drop_index('carts_user')"}],
}
