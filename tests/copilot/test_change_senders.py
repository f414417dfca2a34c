"""Changes as senders post them: read, signed, redacted, kept; what is wrong is told."""

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from copilot.settings import Settings
from copilot.store import Store
from copilot.surfaces.service import create_app
from copilot.testing.service import CountedEngine
from tests.copilot import change_payloads as posts
from tools.types import Change, Window

NOW = 1_767_225_600.0
AT = 1_767_225_500.0
DAY = Window(start=NOW - 86_400.0, end=NOW)
HUNTER = "hunter2hunter2"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[CountedEngine]:
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    yield CountedEngine(store, time=NOW)
    store.close()


@pytest.fixture
def client(engine: CountedEngine) -> TestClient:
    return TestClient(create_app(engine, Settings()), base_url="http://127.0.0.1")


def one(engine: CountedEngine) -> Change:
    return engine.store.changes.changes(DAY)[-1]


CHANGED = [
    ("github deployment", posts.GITHUB_DEPLOYED, "deploy", posts.SHA[:12], "lin"),
    ("github release", posts.GITHUB_RELEASE, "deploy", "v1.4.0", "lin"),
    ("github workflow", posts.GITHUB_RUN, "deploy", posts.SHA[:12], "lin"),
    ("gitlab deployment", posts.GITLAB_DEPLOYED, "deploy", posts.SHA[:12], "lin"),
    ("gitlab release", posts.GITLAB_RELEASE, "deploy", "v1.4.0", ""),
    ("argo", posts.ARGO, "deploy", posts.SHA[:12], "lin"),
    ("flux", posts.FLUX, "deploy", posts.SHA[:12], ""),
    ("flux helm", posts.FLUX_HELM, "deploy", "1.4.0", ""),
    ("launchdarkly", posts.LAUNCHDARKLY, "flag", "new-checkout", "Lin Ma"),
    ("unleash", posts.UNLEASH, "flag", "new-checkout", "lin"),
    ("openfeature", posts.OPENFEATURE, "flag", "new-checkout", ""),
    ("terraform", posts.TERRAFORM, "infrastructure", "run-9", "lin"),
    ("flyway", posts.FLYWAY, "infrastructure", "12", ""),
    ("cdevents", posts.CDEVENT, "deploy", "sha256:0b31b1c0", "lin"),
    ("cloudevents", posts.CLOUDEVENT, "config", "", ""),
    ("our own form", posts.MIGRATION, "infrastructure", "9f2c", "lin"),
]
UNDATED = frozenset({"openfeature", "flyway"})


@pytest.mark.parametrize(
    ("name", "document", "kind", "version", "author"), CHANGED, ids=[row[0] for row in CHANGED]
)
def test_each_sender_is_read_and_counts_once(
    client: TestClient,
    engine: CountedEngine,
    name: str,
    document: Any,
    kind: str,
    version: str,
    author: str,
) -> None:
    answer = client.post("/changes", json=document)
    assert answer.json() == {"status": "success", "recorded": 1, "repeated": 0}
    assert answer.status_code == 202
    told = one(engine)
    assert (told.service, told.kind, told.to_version, told.author) == (
        "cart", kind, version, author,
    )  # fmt: skip
    assert told.at == (NOW if name in UNDATED else AT)
    assert client.post("/changes", json=document).json()["repeated"] == 1


def test_what_names_no_service_is_told_by_the_address(
    client: TestClient, engine: CountedEngine
) -> None:
    for document in (posts.ANSIBLE, posts.FLAGD, posts.HELM):
        refused = client.post("/changes", json=document)
        assert refused.status_code == 422
        assert "?service=NAME" in refused.json()["detail"]
        assert client.post("/changes?service=cart", json=document).status_code == 202
    assert {one.service for one in engine.store.changes.changes(DAY)} == {"cart"}
    versions = [one.to_version for one in engine.store.changes.changes(DAY) if one.to_version]
    assert versions == ["1.3.0", "1.4.0", "new-checkout"]


def test_the_service_of_the_address_stands_in_for_what_a_sender_names(
    client: TestClient, engine: CountedEngine
) -> None:
    client.post("/changes/github?service=checkout", json=posts.GITHUB_DEPLOYED)
    assert one(engine).service == "checkout"


IGNORED = [
    ("a deployment that is asked for", posts.GITHUB_DEPLOYED | {"deployment_status": None}),
    ("a failed workflow", posts.GITHUB_RUN | {"workflow_run": {"conclusion": "failure"}}),
    ("a workflow of tests", posts.GITHUB_RUN
     | {"workflow_run": {"conclusion": "success", "name": "unit tests"}}),
    ("a push of a tag", posts.GITHUB_PUSH | {"ref": "refs/tags/v1"}),
    ("a push of another branch", posts.GITHUB_PUSH | {"ref": "refs/heads/idea"}),
    ("a running deployment", posts.GITLAB_DEPLOYED | {"status": "running"}),
    ("a merge request", {"object_kind": "merge_request", "project": posts.PROJECT}),
    ("a failed reconciliation", posts.FLUX | {"severity": "error"}),
    ("a planned run", posts.TERRAFORM | {"notifications": [{"run_status": "planned"}]}),
    ("a notification's test", posts.TERRAFORM | {"notifications": [{"run_status": None}]}),
    ("a new member", posts.LAUNCHDARKLY | {"kind": "member"}),
    ("a tag of a feature", posts.UNLEASH | {"type": "feature-tagged"}),
    ("a play that changed nothing", posts.ANSIBLE | {"plays": []}),
    ("a build", posts.CDEVENT | {"context": {"type": "dev.cdevents.build.finished.0.2.0"}}),
]  # fmt: skip


@pytest.mark.parametrize(("_name", "document"), IGNORED, ids=[row[0] for row in IGNORED])
def test_what_has_changed_nothing_yet_is_told_and_not_kept(
    client: TestClient, engine: CountedEngine, _name: str, document: Any
) -> None:
    answer = client.post("/changes?service=cart", json=document)
    assert answer.status_code == 202
    assert answer.json()["recorded"] == 0
    assert answer.json()["ignored"]
    assert engine.store.changes.count() == 0


def test_nothing_is_told_by_an_empty_list(client: TestClient) -> None:
    assert client.post("/changes", json=[]).json()["recorded"] == 0


def test_another_event_of_a_forge_is_no_change(client: TestClient) -> None:
    answer = client.post("/changes", json={"zen": "…"}, headers={"X-GitHub-Event": "ping"})
    assert answer.status_code == 202
    assert "'ping' is none of the events" in answer.json()["ignored"][0]


def test_what_was_made_in_another_environment_is_left_out(client: TestClient) -> None:
    address = "/changes/github?environment=staging"
    assert client.post(address, json=posts.GITHUB_DEPLOYED).json()["recorded"] == 0
    address = "/changes/github?environment=production"
    assert client.post(address, json=posts.GITHUB_DEPLOYED).json()["recorded"] == 1


REFUSED = [
    ("nothing known", {"hello": "world"}, "/changes", "docs/changes.md"),
    ("no repository", {"deployment": {}}, "/changes/github", "repository"),
    ("not an object", {"deployment": 3, "repository": {"name": "a"}}, "/changes", "deployment"),
    ("a moment that is none", posts.TERRAFORM
     | {"notifications": [{"run_status": "applied", "run_updated_at": "soon"}]}, "/changes", "at"),
    ("no project", {"object_kind": "push", "project": {}}, "/changes", "path_with_namespace"),
    ("an event without data", {"specversion": "1.0", "id": "1", "data": 3}, "/changes", "data"),
    ("no service", {"kind": "deploy"}, "/changes", "service"),
    ("a kind that is none", {"service": "cart", "kind": "magic"}, "/changes", "one of deploy"),
    ("no moment", {"service": "cart", "at": "soon"}, "/changes", "at"),
    ("the future", {"service": "cart", "at": NOW + 7200}, "/changes", "not in the future"),
    ("a number", 7, "/changes", "[1]"),
    ("a commit without its name", {"service": "cart", "commits": [{}]}, "/changes", "sha"),
    ("a file that is a number", {"service": "a", "commits": [{"sha": "1", "files": [3]}]},
     "/changes", "files"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("_name", "document", "path", "said"), REFUSED, ids=[row[0] for row in REFUSED]
)
def test_what_is_wrong_is_refused_whole_and_told(
    client: TestClient, engine: CountedEngine, _name: str, document: Any, path: str, said: str
) -> None:
    answer = client.post(path, json=[posts.MIGRATION, document])
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert engine.store.changes.count() == 0


def test_more_than_a_thousand_at_once_are_refused(client: TestClient) -> None:
    many = [{"service": "cart", "id": f"{number}"} for number in range(1001)]
    assert "at most 1000" in client.post("/changes", json=many).json()["detail"]


def test_an_unknown_sender_is_told_who_is_known(client: TestClient) -> None:
    answer = client.post("/changes/jenkins", json={})
    assert answer.status_code == 404
    assert "gitlab" in answer.json()["detail"]


# --- commits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("push", [posts.GITHUB_PUSH, posts.GITLAB_PUSH], ids=["github", "gitlab"])
def test_a_push_is_commits_and_no_change(
    client: TestClient, engine: CountedEngine, push: dict[str, Any]
) -> None:
    assert client.post("/changes", json=push).json()["commits"] == 1
    assert not engine.store.changes.changes(DAY)
    (made,) = engine.store.changes.commits(DAY)
    assert (made.sha, made.author, made.files) == (posts.SHA, "lin", ("old.yaml", "pool.yaml"))
    assert made.message.startswith("Shrink the pool")


def test_the_lines_of_a_flag_and_of_a_migration_are_kept_as_a_commit(
    client: TestClient, engine: CountedEngine
) -> None:
    client.post("/changes", json=[posts.LAUNCHDARKLY, posts.MIGRATION])
    told = {change.kind: change.commits[0] for change in engine.store.changes.changes(DAY)}
    flag, migration = told["flag"], told["infrastructure"]
    assert flag.files == ("flags/new-checkout",)
    assert flag.diff.endswith("-on: False\n+on: True")
    assert "drop_index" in migration.diff


def test_commits_of_our_own_form_are_kept_with_their_lines_and_outlive_a_restart(
    client: TestClient, engine: CountedEngine, tmp_path: Path
) -> None:
    commit = {
        "sha": posts.SHA,
        "at": "2025-12-31T23:40:00Z",
        "author": "lin",
        "message": "Shrink the pool",
        "files": [{"path": "pool.yaml", "diff": "@@ -1 +1 @@\n-size: 20\n+size: 2"}],
    }
    document = {"service": "cart", "revision": posts.SHA, "commits": [commit], "at": AT}
    client.post("/changes", json=document | {"repository": "git.shop.example/cart"})
    told = one(engine)
    again = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    again.create()
    assert again.changes.changes(DAY)[-1] == told
    assert told.commits[0].diff == (
        "--- a/pool.yaml\n+++ b/pool.yaml\n@@ -1 +1 @@\n-size: 20\n+size: 2"
    )
    again.close()


def test_lines_that_are_told_later_take_the_place_of_none(
    client: TestClient, engine: CountedEngine
) -> None:
    client.post("/changes", json=posts.GITHUB_PUSH)
    own = {"sha": posts.SHA, "at": "2025-12-31T23:40:00Z", "diff": "-size: 20\n+size: 2"}
    lines = {"service": "cart", "repository": "github.com/shop/cart", "commits": [own], "id": "x"}
    client.post("/changes", json=lines)
    client.post("/changes", json=posts.GITHUB_PUSH)
    assert [one.diff for one in engine.store.changes.commits(DAY)] == ["-size: 20\n+size: 2"]


def test_a_deployment_replaces_the_revision_that_ran_before(
    client: TestClient, engine: CountedEngine
) -> None:
    def deployed(number: int, sha: str, at: str) -> dict[str, Any]:
        status = {"state": "success", "created_at": at}
        made = posts.GITHUB_DEPLOYED["deployment"] | {"id": number, "sha": sha}
        return posts.GITHUB_DEPLOYED | {"deployment": made, "deployment_status": status}

    client.post("/changes", json=deployed(1, posts.BEFORE, "2025-12-31T20:00:00Z"))
    client.post("/changes", json=deployed(2, posts.SHA, "2025-12-31T23:58:20Z"))
    assert (one(engine).from_revision, one(engine).revision) == (posts.BEFORE, posts.SHA)
    assert one(engine).from_version == posts.BEFORE[:12]


def test_very_much_is_cut_and_what_was_left_out_is_said(
    client: TestClient, engine: CountedEngine
) -> None:
    long = "\n".join(f"+line {number}" for number in range(40_000))
    commits = [{"sha": f"{number:040x}", "at": AT, "diff": long} for number in range(3)]
    commits += [{"sha": f"{number:040x}", "at": AT} for number in range(3, 150)]
    client.post("/changes", json={"service": "cart", "at": AT, "commits": commits[::-1]})
    told = one(engine)
    assert len(told.commits) == 100
    assert told.gap == "50 of 150 commits are not kept"
    assert max(len(one.diff) for one in told.commits) <= 64 * 1024
    assert all(one.diff.rpartition("\n")[2].startswith("+line") for one in told.commits if one.diff)


# --- secrets and signatures ----------------------------------------------------------------------


def test_no_secret_of_a_message_a_diff_or_a_link_reaches_the_disk(
    client: TestClient, engine: CountedEngine, tmp_path: Path
) -> None:
    commit = {
        "sha": "1",
        "at": AT,
        "author": "Lin <lin@shop.example>",
        "message": f"set password={HUNTER}",
        "url": f"https://lin:{HUNTER}@git.shop.example/1",
        "diff": f'-size: 20\n+password: "{HUNTER}"\n+url: https://a:{HUNTER}@db/',
    }
    document = {"service": "cart", "at": AT, "summary": f"token={HUNTER}", "commits": [commit]}
    client.post("/changes", json=document)
    client.post("/changes", json=posts.GITHUB_PUSH)
    kept = one(engine)
    assert "size: 20" in kept.commits[0].diff
    engine.store.close()
    disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert HUNTER.encode() not in disk
    assert b"lin@shop.example" not in disk


SECRET = "a secret of the webhook"


def signed_by(body: bytes, digest: str, key: str = SECRET) -> str:
    return hmac.new(key.encode(), body, getattr(hashlib, digest)).hexdigest()


SIGNED: list[tuple[str, str, Any, str]] = [
    ("github", "X-Hub-Signature-256", posts.GITHUB_DEPLOYED, "sha256="),
    ("gitlab", "X-Gitlab-Token", posts.GITLAB_DEPLOYED, ""),
    ("launchdarkly", "X-LD-Signature", posts.LAUNCHDARKLY, ""),
    ("terraform", "X-TFE-Notification-Signature", posts.TERRAFORM, ""),
    ("flux", "X-Signature", posts.FLUX, "sha256="),
]


@pytest.mark.parametrize(
    ("sender", "header", "document", "prefix"), SIGNED, ids=[row[0] for row in SIGNED]
)
def test_a_sender_with_a_secret_is_believed_by_its_signature_alone(
    engine: CountedEngine, sender: Any, header: str, document: Any, prefix: str
) -> None:
    settings = Settings(api_key=SecretStr("k" * 20), change_secrets={sender: SecretStr(SECRET)})
    app = create_app(engine, settings, change_secrets=settings.change_secrets)
    client = TestClient(app, base_url="http://copilot.example")
    body = json.dumps(document).encode()
    digest = "sha512" if sender == "terraform" else "sha256"
    right = SECRET if sender == "gitlab" else prefix + signed_by(body, digest)

    def post(path: str, **headers: str) -> int:
        given = {"content-type": "application/json"} | headers
        return client.post(path, content=body, headers=given).status_code

    assert post(f"/changes/{sender}") == 401
    assert post(f"/changes/{sender}", **{header: right[:-1] + "x"}) == 401
    assert post(f"/changes/{sender}", **{"Authorization": f"Bearer {'k' * 20}"}) == 401
    assert engine.store.changes.count() == 0
    assert post(f"/changes/{sender}", **{header: right}) == 202
    assert post("/changes", **{header: right}) == 401, "the open address still asks for the key"
    key = {"Authorization": f"Bearer {'k' * 20}"}
    assert post("/changes", **key, **{header: right}) == 202
    assert post("/changes", **key, **{header: "wrong"}) == 401
    assert post("/changes/unleash" if sender != "unleash" else "/changes/argocd") == 401


def test_the_examples_of_the_page_are_accepted(client: TestClient, engine: CountedEngine) -> None:
    page = (Path(__file__).parents[2] / "docs" / "changes.md").read_text(encoding="utf-8")
    examples = re.findall(r"```json\n(.+?)```", page, re.DOTALL)
    engine.time = 1_800_000_000.0  # after the moments of the examples
    assert len(examples) == 3
    for text in examples:
        answer = client.post("/changes", json=json.loads(text))
        assert answer.json() == {"status": "success", "recorded": 1, "repeated": 0}
