"""One contract for every source of a namespace's state: a live API, a recorded snapshot."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from copilot.ports import NamespaceSource, SourceError
from copilot.sources.kubernetes.clusters import ReadableCluster
from copilot.sources.kubernetes.snapshot import RecordedSnapshot
from copilot.testing.kubernetes import KubernetesServer
from copilot.testing.strict_http import serving
from tests.contracts.clocks import Standing
from tests.copilot.kubernetes_objects import (
    NOW,
    Json,
    Logs,
    crashing,
    healthy,
    node,
    pending,
    restarting,
    without_image,
)
from tools.cluster_inspector import diagnose, survey
from tools.types import ClusterQuery, ClusterState

Opened = Callable[[list[Json], Logs], NamespaceSource]


def recorded(held: list[Json], logs: Logs, folder: Path) -> RecordedSnapshot:
    everything = {"kind": "List", "items": held}
    (folder / "objects.yaml").write_text(yaml.safe_dump(everything), encoding="utf-8")
    for run, text in logs.items():
        name = f"logs-{run.pod.split('-')[0]}{'.previous' * run.previous}.txt"
        (folder / name).write_text(text, encoding="utf-8")
    return RecordedSnapshot(folder, "shop", at=NOW)


def live(server: KubernetesServer) -> NamespaceSource:
    api = client.ApiClient(client.Configuration(host=server.url))
    return ReadableCluster(api, ["shop"], Standing(NOW)).opened().there[0]


@pytest.fixture(params=["live", "snapshot"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    """A function that puts objects and logs behind the source under test."""
    with ExitStack() as stack:

        def put(held: list[Json], logs: Logs) -> NamespaceSource:
            if request.param == "snapshot":
                return recorded(held, logs, tmp_path)
            shop = {"kind": "Namespace", "metadata": {"name": "shop"}}
            return live(stack.enter_context(serving(KubernetesServer([*held, shop], logs))))

        yield put


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        pytest.param(without_image, "image-not-found", id="image"),
        pytest.param(crashing, "port-in-use", id="crash"),
        pytest.param(restarting, "out-of-memory", id="restart"),
        pytest.param(pending, "taint-untolerated", id="taint"),
    ],
)
def test_a_survey_over_any_source_finds_the_cause(opened: Opened, broken: Any, rule: str) -> None:
    source = opened(*broken())
    found = diagnose(survey(source.look, ClusterState(namespace="shop"))).predictions[0]

    assert (found.rule.id, found.object) == (rule, "app/cart")


def test_a_healthy_namespace_has_no_finding(opened: Opened) -> None:
    state = survey(opened(healthy(), {}).look)

    assert state.namespace == "shop"
    assert diagnose(state).predictions == ()


def test_a_listing_names_every_object(opened: Opened) -> None:
    source = opened([node(f"n{i}") for i in range(5)], {})
    state = source.look([ClusterQuery(verb="list", kind="Node")])

    assert state.listed["Node"] == ("n0", "n1", "n2", "n3", "n4")


@pytest.mark.parametrize(
    "look",
    [
        ClusterQuery(verb="list", kind="Unicorn"),
        ClusterQuery(verb="describe", kind="Pod", name="nobody"),
        ClusterQuery(verb="describe", kind="Unicorn", name="nobody"),
        ClusterQuery(verb="manifest", name="nobody"),
        ClusterQuery(verb="errors", name="nobody"),
        ClusterQuery(verb="alerts"),
        ClusterQuery(verb="connect", name="web", detail="80"),
    ],
)
def test_a_question_without_an_answer_finds_nothing(opened: Opened, look: ClusterQuery) -> None:
    state = opened(healthy(), {}).look([look])

    assert diagnose(state).predictions == ()
    assert [pod.name for pod in state.pods if pod.name == "nobody"] == []


def test_the_log_of_a_run_that_ended_is_counted_once(opened: Opened) -> None:
    source = opened(*crashing("error: no licence\nerror: no licence\n"))
    logs = source.look([ClusterQuery(verb="errors", name="cart")]).logs

    assert [(one.count, one.previous) for one in logs if not one.last] == [(2, True)]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is not a folder"):
        RecordedSnapshot(tmp_path / "nowhere", "shop")


def test_a_snapshot_that_is_not_yaml_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{", encoding="utf-8")

    with pytest.raises(SourceError, match="a.yaml is not YAML"):
        RecordedSnapshot(tmp_path, "shop").look([ClusterQuery(verb="list", kind="Pod")])


@pytest.mark.parametrize(
    ("name", "text", "listed"),
    [
        ("objects.yaml", "kind: Pod\nmetadata: {name: a}\n", ("a",)),
        ("objects.json", '{"kind": "PodList", "items": [{"metadata": {"name": "a"}}]}', ("a",)),
        ("objects.json", '{"kind": "PodList", "items": []}', ()),
        ("pods.yaml", "kind: List\nitems: []\n", ()),
        ("objects.yaml", "kind: List\nitems: []\n", None),
        ("objects.yaml", "kind: Node\nmetadata: {name: a}\n", None),
    ],
)
def test_what_a_snapshot_does_not_hold_is_not_known_to_be_absent(
    name: str, text: str, listed: tuple[str, ...] | None, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    state = RecordedSnapshot(tmp_path, "shop").look([ClusterQuery(verb="list", kind="Pod")])

    assert state.listed.get("Pod") == listed
    assert [gap.kind for gap in state.gaps] == (["Pod"] if listed is None else [])
