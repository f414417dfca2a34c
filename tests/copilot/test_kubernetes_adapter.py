"""One contract for every source of a cluster's state: a live API, a recorded snapshot."""

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from kubernetes import client

from copilot.ports import ClusterSource, SourceError
from copilot.sources import kubernetes as adapters
from copilot.sources.kubernetes.kinds import KINDS
from copilot.sources.kubernetes.live import KubernetesApi
from copilot.sources.kubernetes.snapshot import RecordedSnapshot
from tools.cluster_inspector import diagnose, survey
from tools.types import ClusterQuery, ClusterState

NOW = 1_800_000_000.0
Json = dict[str, Any]


class Standing:
    """A clock that stands."""

    def now(self) -> float:
        return NOW

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody waits here, and not {seconds} s")


def deployment(app: str) -> Json:
    container = {"name": "server", "image": f"r/{app}:1", "ports": [{"containerPort": 8080}]}
    return {
        "kind": "Deployment",
        "metadata": {"name": app, "namespace": "shop"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": app}},
            "template": {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container]}},
        },
        "status": {"replicas": 1, "readyReplicas": 1},
    }


def service(app: str) -> Json:
    return {
        "kind": "Service",
        "metadata": {"name": app, "namespace": "shop"},
        "spec": {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}],
                 "clusterIP": "10.9.0.1", "type": "ClusterIP"},
    }  # fmt: skip


def pod(app: str, **status: Any) -> Json:
    ready = {"name": "server", "ready": True, "restartCount": 0, "state": {"running": {}}}
    return {
        "kind": "Pod",
        "metadata": {"name": f"{app}-6d9fc79f96-4bhwx", "namespace": "shop", "labels": {"app": app},
                     "creationTimestamp": "2027-01-15T07:00:00Z"},
        "spec": {"nodeName": "n1", "containers": [{"name": "server", "image": f"r/{app}:1"}]},
        "status": {"phase": "Running", "podIP": "10.1.0.7", "containerStatuses": [ready]} | status,
    }  # fmt: skip


def node(name: str = "n1") -> Json:
    ready = {"type": "Ready", "status": "True"}
    return {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": [ready]}}


def event(about: Json, reason: str, message: str) -> Json:
    return {
        "kind": "Event",
        "metadata": {"name": f"{about['metadata']['name']}.{reason}", "namespace": "shop"},
        "involvedObject": {"kind": about["kind"], "name": about["metadata"]["name"]},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "count": 3,
        "lastTimestamp": "2027-01-15T07:59:00Z",
    }


def healthy() -> list[Json]:
    """Two applications that serve."""
    endpoints = {
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": "shop"},
        "subsets": [{"addresses": [{"ip": "10.1.0.7"}], "ports": [{"port": 8080}]}],
    }
    return [deployment("web"), service("web"), pod("web"), endpoints, node()]


def waiting(reason: str) -> Json:
    state = {"waiting": {"reason": reason}}
    return {"name": "server", "ready": False, "restartCount": 0, "state": state}


def without_image() -> tuple[list[Json], dict[str, str]]:
    bad = pod("cart", phase="Pending", containerStatuses=[waiting("ImagePullBackOff")])
    message = 'Failed to pull image "r/cart:1": manifest unknown'
    return [*healthy(), deployment("cart"), bad, event(bad, "Failed", message)], {}


def crashing() -> tuple[list[Json], dict[str, str]]:
    ended = {"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": "2027-01-15T07:59:30Z"}}
    status = waiting("CrashLoopBackOff") | {"restartCount": 4, "lastState": ended}
    bad = pod("cart", containerStatuses=[status])
    log = "starting\nPortInUseException: Port 8080 is already in use\n"
    return [*healthy(), deployment("cart"), bad], {"cart": log}


def restarting() -> tuple[list[Json], dict[str, str]]:
    """Serving at the moment, killed at its limit half a minute ago."""
    ended = {
        "terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2027-01-15T07:59:30Z"}
    }
    status = {"name": "server", "ready": True, "restartCount": 4, "state": {"running": {}}}
    cart = pod("cart", containerStatuses=[status | {"lastState": ended}])
    return [*healthy(), deployment("cart"), cart], {}


def pending() -> tuple[list[Json], dict[str, str]]:
    bad = pod("cart", phase="Pending", containerStatuses=[])
    del bad["spec"]["nodeName"]
    said = "0/1 nodes are available: 1 node(s) had untolerated taint {team: x}."
    return [*healthy(), deployment("cart"), bad, event(bad, "FailedScheduling", said)], {}


class Server(ThreadingHTTPServer):
    """An API server of the loopback that holds objects, and remembers what was asked."""

    def __init__(self, held: list[Json], logs: Mapping[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.held = held
        self.logs = logs
        self.asked: list[tuple[str, str]] = []
        self.refusing: int | None = None
        self.page = 2

    def collection(self, plural: str, query: Mapping[str, list[str]]) -> Json:
        """A list as the API writes it: items without kind, page by page."""
        kind = next(kind.name for kind in KINDS.values() if kind.plural == plural)
        items = [item for item in self.held if item["kind"] == kind]
        for wanted in query.get("fieldSelector", [""])[0].split(","):
            field, _, value = wanted.partition("=involvedObject.")[0].partition("=")
            if field == "involvedObject.name":
                items = [item for item in items if item["involvedObject"]["name"] == value]
        first = int(query.get("continue", ["0"])[0])
        last = first + self.page
        bare = [{k: v for k, v in item.items() if k != "kind"} for item in items[first:last]]
        more = {"continue": str(last)} if last < len(items) else {}
        return {"kind": f"{kind}List", "metadata": more, "items": bare}


class Handler(BaseHTTPRequestHandler):
    """Answers GET; any other verb is a failure of the adapter."""

    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _send(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        self.server.asked.append((self.command, url.path))
        parts = url.path.strip("/").split("/")
        parts = parts[2:] if parts[0] == "api" else parts[3:]
        if parts and parts[0] == "namespaces":
            parts = parts[2:]
        if self.server.refusing is not None:
            self._send(self.server.refusing, '{"kind": "Status"}')
        elif parts[-1] == "log":
            app = parts[1].split("-")[0]
            self._send(200, self.server.logs.get(app, ""))
        elif len(parts) == 1:
            self._send(200, json.dumps(self.server.collection(parts[0], query)))
        else:
            found = [i for i in self.server.held if i["metadata"]["name"] == parts[1]
                     and KINDS[i["kind"]].plural == parts[0]]  # fmt: skip
            self._send(200 if found else 404, json.dumps(found[0] if found else {}))


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Servers started by a test; they are stopped after it."""
    started: list[Server] = []
    yield started
    for server in started:
        server.shutdown()
        server.server_close()


def live(server: Server) -> KubernetesApi:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = client.Configuration(host=f"http://127.0.0.1:{server.server_port}")
    settings.retries = False
    return KubernetesApi(client.ApiClient(settings), "shop", Standing(), timeout_s=5.0)


def recorded(held: list[Json], logs: Mapping[str, str], folder: Path) -> RecordedSnapshot:
    everything = {"kind": "List", "items": held}
    (folder / "objects.yaml").write_text(yaml.safe_dump(everything), encoding="utf-8")
    for app, text in logs.items():
        (folder / f"logs-{app}.txt").write_text(text, encoding="utf-8")
    return RecordedSnapshot(folder, "shop", at=NOW)


SOURCES = ("live", "snapshot")


@pytest.fixture(params=SOURCES)
def opened(request: pytest.FixtureRequest, servers: list[Server], tmp_path: Path) -> Any:
    """A function that puts objects and logs behind the source under test."""

    def put(held: list[Json], logs: Mapping[str, str]) -> ClusterSource:
        if request.param == "live":
            servers.append(Server(held, logs))
            return live(servers[-1])
        return recorded(held, logs, tmp_path)

    return put


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        pytest.param(without_image, "image-not-found", id="image"),
        pytest.param(crashing, "port-in-use", id="crash"),
        pytest.param(restarting, "out-of-memory", id="restart"),
        pytest.param(pending, "taint-untolerated", id="taint"),
    ],
)
def test_a_survey_over_any_source_finds_the_cause(opened: Any, broken: Any, rule: str) -> None:
    source: ClusterSource = opened(*broken())
    found = diagnose(survey(source.look, ClusterState(namespace="shop"))).predictions[0]

    assert (found.rule.id, found.object) == (rule, "app/cart")


def test_a_healthy_namespace_has_no_finding(opened: Any) -> None:
    source: ClusterSource = opened(healthy(), {})
    state = survey(source.look)

    assert state.namespace == "shop"
    assert diagnose(state).predictions == ()


def test_a_listing_names_every_object_over_all_pages(opened: Any) -> None:
    source: ClusterSource = opened([node(f"n{i}") for i in range(5)], {})
    state = source.look([ClusterQuery(verb="list", kind="Node")])

    assert state.listed["Node"] == ("n0", "n1", "n2", "n3", "n4")


@pytest.mark.parametrize(
    "look",
    [
        ClusterQuery(verb="list", kind="Unicorn"),
        ClusterQuery(verb="describe", kind="Pod", name="nobody"),
        ClusterQuery(verb="manifest", name="nobody"),
        ClusterQuery(verb="errors", name="nobody"),
        ClusterQuery(verb="alerts"),
        ClusterQuery(verb="connect", name="web", detail="80"),
    ],
)
def test_a_question_without_an_answer_finds_nothing(opened: Any, look: ClusterQuery) -> None:
    source: ClusterSource = opened(healthy(), {})
    state = source.look([look])

    assert diagnose(state).predictions == ()
    assert [pod.name for pod in state.pods if pod.name == "nobody"] == []


def test_the_live_source_only_ever_gets_and_never_a_secret(servers: list[Server]) -> None:
    servers.append(Server(*crashing()))
    survey(live(servers[0]).look)

    assert {verb for verb, _ in servers[0].asked} == {"GET"}
    assert [path for _, path in servers[0].asked if "secret" in path] == []


def test_a_name_does_not_lead_to_another_object(servers: list[Server]) -> None:
    servers.append(Server(*crashing()))
    live(servers[0]).look([ClusterQuery(verb="describe", kind="Pod", name="../secrets/db?x=1")])

    asked = [path for _, path in servers[0].asked if "secrets" in path]
    assert len(asked) == 1
    assert asked[0].endswith("/pods/..%2Fsecrets%2Fdb%3Fx%3D1")


@pytest.mark.parametrize(
    ("status", "recoverable"), [(503, True), (429, True), (403, False), (401, False)]
)
def test_a_refusal_of_the_api_says_whether_asking_again_may_help(
    servers: list[Server], status: int, recoverable: bool
) -> None:
    servers.append(Server(healthy(), {}))
    servers[0].refusing = status

    with pytest.raises(SourceError, match=str(status)) as caught:
        live(servers[0]).look([ClusterQuery(verb="list", kind="Pod")])
    assert caught.value.recoverable is recoverable


def test_an_api_nobody_listens_on_is_a_recoverable_failure() -> None:
    settings = client.Configuration(host="http://127.0.0.1:1")
    settings.retries = False
    source = KubernetesApi(client.ApiClient(settings), "shop", Standing(), timeout_s=1.0)

    with pytest.raises(SourceError) as caught:
        source.look([ClusterQuery(verb="list", kind="Pod")])
    assert caught.value.recoverable is True


@pytest.fixture(scope="module")
def rules() -> list[Json]:
    """The rules of the shipped role."""
    path = Path(adapters.__file__).with_name("clusterrole.yaml")
    role = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert role["kind"] == "ClusterRole"
    return list(role["rules"])


def test_the_shipped_role_reads_and_does_nothing_else(rules: list[Json]) -> None:
    assert {verb for rule in rules for verb in rule["verbs"]} <= {"get", "list"}
    assert all("*" not in [*rule["apiGroups"], *rule["resources"]] for rule in rules)
    assert "secrets" not in {resource for rule in rules for resource in rule["resources"]}


def test_the_shipped_role_grants_what_the_adapter_reads_and_no_more(rules: list[Json]) -> None:
    granted = {(group, resource) for rule in rules for group in rule["apiGroups"]
               for resource in rule["resources"]}  # fmt: skip
    read = {(kind.group, kind.plural) for kind in KINDS.values()}

    assert granted == read | {("", "pods/log")}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not a folder"):
        RecordedSnapshot(tmp_path / "nowhere", "shop")


def test_a_snapshot_that_is_not_yaml_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{", encoding="utf-8")

    with pytest.raises(SourceError, match="not YAML"):
        RecordedSnapshot(tmp_path, "shop").look([ClusterQuery(verb="list", kind="Pod")])
