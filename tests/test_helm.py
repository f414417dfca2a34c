"""The Helm chart, linted and rendered by Helm itself, beside the Kustomize base."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

import copilot
from copilot.settings import Settings

ROOT = Path(__file__).parent.parent
CHART = ROOT / "deploy" / "helm"
BASE = ROOT / "deploy" / "kubernetes" / "copilot.yaml"

Document = dict[str, Any]
Wishes = Mapping[str, Mapping[str, Any] | object]


def read(name: str) -> Any:
    return yaml.safe_load((CHART / name).read_text(encoding="utf-8"))


def values(wishes: Wishes) -> Document:
    """The chart's values with those of a person over them, as Helm merges maps."""
    merged: Document = copy.deepcopy(read("values.yaml"))
    for name, wish in wishes.items():
        merged[name] = merged[name] | wish if isinstance(wish, Mapping) else wish
    return merged


def refused(wishes: Wishes) -> list[str]:
    schema = Draft7Validator(read("values.schema.json"))
    return [one.json_path for one in schema.iter_errors(values(wishes))]


def test_the_values_that_ship_are_those_of_the_schema() -> None:
    Draft7Validator.check_schema(read("values.schema.json"))
    assert refused({}) == []
    assert set(read("values.yaml")) == set(read("values.schema.json")["properties"]) - {"global"}


WRONG: Mapping[str, tuple[Wishes, str]] = {
    "mistyped": ({"replica": 3}, "$"),
    "no pod": ({"replicas": 0}, "$.replicas"),
    "no secret": ({"existingSecret": ""}, "$.existingSecret"),
    "no prefix": ({"settings": {"PROMETHEUS_URL": "x"}}, "$.settings"),
    "secret in clear": ({"settings": {"COPILOT_LOKI_TOKEN": "x"}}, "$.settings"),
    "cut short": ({"terminationGracePeriodSeconds": 5}, "$.termination"),
    "no key": ({"secretSettings": {"COPILOT_X": {"name": "a"}}}, "$.secret"),
}


@pytest.mark.parametrize(("wishes", "where"), WRONG.values(), ids=WRONG.keys())
def test_values_that_could_not_work_are_refused_by_the_schema(wishes: Wishes, where: str) -> None:
    (found,) = refused(wishes)
    assert found.startswith(where)


def test_no_setting_that_holds_a_secret_may_stand_in_the_clear() -> None:
    fields = Settings.model_fields.items()
    secrets = {f"COPILOT_{name.upper()}" for name, one in fields if "Secret" in str(one.annotation)}
    assert len(secrets) > 10
    assert {one for one in secrets if not refused({"settings": {one: "x"}})} == set()


def test_the_chart_is_of_this_version_and_its_roles_are_ours() -> None:
    chart = read("Chart.yaml")
    assert (chart["version"], chart["appVersion"]) == (copilot.__version__,) * 2
    ours = ROOT / "copilot" / "sources" / "kubernetes" / "clusterrole.yaml"
    assert (CHART / "files" / "clusterrole.yaml").read_bytes() == ours.read_bytes()


@pytest.fixture(scope="module")
def helm() -> Any:
    """Helm itself, as a library; `make integration` installs it."""
    return pytest.importorskip("helm_python", reason="pip install -r tests/helm/requirements.txt")


def rendered(helm: Any, wishes: Wishes, release: str = "incident-copilot") -> list[Document]:
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(dict(wishes))
        files = chart.render(dict(wishes), name=release, namespace="ops")
    assert "copilot doctor" in files.pop("incident-copilot/templates/NOTES.txt")
    return [one for text in files.values() for one in yaml.safe_load_all(text) if one]


@pytest.mark.integration
def test_helm_finds_nothing_wrong_with_the_chart_and_refuses_what_its_schema_refuses(
    helm: Any,
) -> None:
    for wishes in ({}, EVERYTHING):
        found = helm.lint(str(CHART), dict(wishes))
        assert found["errors"] == []
        assert [one["error"] for one in found["messages"]] == ["icon is recommended"]
    with helm.Chart.load(str(CHART)) as chart:
        for wrong, _where in WRONG.values():
            with pytest.raises(helm.HelmValuesError):
                chart.validate_schema(dict(wrong))


def by_kind(objects: list[Document]) -> dict[str, Document]:
    return {one["kind"]: one for one in objects}


@pytest.mark.integration
def test_the_chart_and_the_base_make_the_same_of_every_kind(helm: Any) -> None:
    base = by_kind(list(yaml.safe_load_all(BASE.read_text(encoding="utf-8"))))
    pod = base["Deployment"]["spec"]["template"]["spec"]
    for container in [*pod["initContainers"], *pod["containers"]]:
        container["image"] += f":{copilot.__version__}"  # as the base's kustomization does
    chart = by_kind(rendered(helm, {}))
    assert {kind: one.get("spec") for kind, one in chart.items()} == {
        kind: one.get("spec") for kind, one in base.items()
    }


@pytest.mark.integration
def test_a_setting_reaches_the_program_as_it_was_written(helm: Any) -> None:
    wished = {"COPILOT_A": 2_592_000, "COPILOT_B": 0.25, "COPILOT_C": True, "COPILOT_D": "1e6"}
    pod = by_kind(rendered(helm, {"settings": wished}))["Deployment"]["spec"]["template"]["spec"]
    given = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
    assert [given[name] for name in wished] == ["2592000", "0.25", "true", "1e6"]


EVERYTHING: Wishes = {
    "image": {"repository": "registry.example/copilot", "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
    "replicas": 3,
    "settings": {"COPILOT_KUBERNETES_NAMESPACE": "shop", "COPILOT_WATCH_EVERY_S": 15},
    "secretSettings": {"COPILOT_LOKI_TOKEN": {"name": "loki", "key": "token"}},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "ops", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
        }
    ],
    "podAnnotations": {"team": "sre"},
    "serviceAccount": {"annotations": {"example.org/role": "reader"}},
    "rbac": {"create": True, "namespaces": ["shop", "payments"]},
    "networkPolicy": {
        "from": [{"namespaceSelector": {}}],
        "egress": [{"ports": [{"port": 9090}]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("release", "wishes"),
    [
        pytest.param("incident-copilot", {}, id="as it ships"),
        pytest.param("night", EVERYTHING, id="all that can be wished"),
        pytest.param("night", {"rbac": {"create": True}}, id="all namespaces"),
    ],
)
def test_every_object_of_the_chart_is_one_that_a_cluster_takes(
    helm: Any, release: str, wishes: Wishes
) -> None:
    objects = rendered(helm, wishes, release)
    names = [
        (one["kind"], one["metadata"]["name"], one["metadata"].get("namespace")) for one in objects
    ]
    assert len(names) == len(set(names))
    for one in objects:
        if one["kind"] == "ServiceMonitor":  # of Prometheus Operator, not of Kubernetes
            assert set(one["spec"]) == {"selector", "endpoints"}
            continue
        kubernetes_validate.validate(one, "1.37", strict=True)


@pytest.mark.integration
def test_whoever_is_bound_selected_or_scraped_is_the_one_that_is_made(helm: Any) -> None:
    objects = rendered(helm, EVERYTHING, "night")
    kinds = by_kind(objects)
    labels = kinds["Deployment"]["spec"]["template"]["metadata"]["labels"]
    account = kinds["ServiceAccount"]["metadata"]["name"]
    assert kinds["Deployment"]["spec"]["template"]["spec"]["serviceAccountName"] == account
    assert kinds["Service"]["spec"]["selector"].items() <= labels.items()
    assert kinds["NetworkPolicy"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
    chosen = kinds["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
    assert chosen.items() <= kinds["Service"]["metadata"]["labels"].items()
    roles = {one["metadata"]["name"] for one in objects if one["kind"] == "ClusterRole"}
    bound = [one for one in objects if one["kind"].endswith("RoleBinding")]
    assert {one["roleRef"]["name"] for one in bound} == roles
    assert {one["subjects"][0]["name"] for one in bound} == {account}
    assert {one["metadata"].get("namespace") for one in bound} == {None, "shop", "payments"}
