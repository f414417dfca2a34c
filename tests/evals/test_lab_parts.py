"""The parts of the lab, each by itself: catalogue, playbooks, rules, pool, volume, platform."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from evals.lab import rules
from evals.lab.blueprint import OURS, SERVICES, edges
from evals.lab.faults.catalogue import HARMLESS, KINDS, NAMES, scenario
from evals.lab.places import LabFolder
from evals.lab.platform.api import Api
from evals.lab.platform.changes import ChangeLog
from evals.lab.platform.fleet import Fleet
from evals.lab.platform.operations import Operations
from evals.lab.shop.data import DataVolume
from evals.lab.shop.meters import DiskMeters, InstanceMeters
from evals.lab.shop.outbound import Pool
from evals.lab.shop.traces import Context
from evals.lab.wire import Request, Response, Server, WireConnection, answer
from tools.playbook_executor import parse

PLAYBOOKS = Path(__file__).parents[2] / "evals" / "lab" / "playbooks"
BOOKS = {path.stem: parse(path.read_text("utf-8"), path.name) for path in PLAYBOOKS.glob("*.yaml")}


def test_every_fault_has_a_playbook_that_says_it_is_for_it() -> None:
    for name in KINDS:
        one = scenario(name)
        for_it = {
            book.id
            for book in BOOKS.values()
            if any(set(one.kinds) & set(case.faults) for case in book.applies)
        }
        assert for_it & one.cures, f"{name}: {sorted(one.cures)} against {sorted(for_it)}"


def test_there_are_twenty_kinds_of_fault_and_six_scenarios_without_one() -> None:
    assert len(KINDS) >= 20
    assert len(HARMLESS) == 6
    assert not any(one.needs_action for one in HARMLESS.values())


@pytest.mark.parametrize("seed", [0, 1])
def test_every_scenario_names_components_of_the_shop(seed: int) -> None:
    for name in NAMES:
        one = scenario(name, seed)
        assert set(one.components) <= set(SERVICES), name
        assert {act.service for act in one.acts} <= {*SERVICES, "shop"}, name


def test_calls_lead_to_declared_routes() -> None:
    for service in SERVICES.values():
        for route in service.routes.values():
            for call in route.calls:
                assert call.path in SERVICES[call.callee].routes
    assert len(OURS) == 10
    assert len(edges()) == len(set(edges()))


def test_the_rules_are_what_prometheus_reads(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump(rules.document()), encoding="utf-8")
    said = subprocess.run([promtool, "check", "rules", str(path)], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr


def test_a_pool_lets_so_many_in_and_the_others_wait_in_order() -> None:
    async def told() -> list[str]:
        pool, seen = Pool(1, InstanceMeters("v1"), "upstream"), list[str]()
        await pool.acquire(1.0)

        async def wait(name: str) -> None:
            await pool.acquire(5.0)
            seen.append(name)

        with pytest.raises(TimeoutError):
            await pool.acquire(0.01)
        waiting = [asyncio.create_task(wait(name)) for name in ("first", "second")]
        await asyncio.sleep(0)
        pool.release()
        await waiting[0]
        assert seen == ["first"]
        pool.resize(2)
        await waiting[1]
        return seen

    assert asyncio.run(told()) == ["first", "second"]


def test_a_full_volume_refuses_to_write(tmp_path: Path) -> None:
    volume = DataVolume(tmp_path, 1000, DiskMeters(CollectorRegistry()))
    volume.append("a", b"x" * 900)
    with pytest.raises(OSError, match="No space left"):
        volume.append("a", b"x" * 200)


def test_a_trace_goes_on_where_the_header_says() -> None:
    first = Context.read("", chance=0.0)
    second = Context.read(first.child().header(), chance=0.9)
    assert second.trace == first.trace
    assert second.sampled
    assert Context.read("not a header", chance=0.9).sampled is False


def test_server_and_client_understand_each_other() -> None:
    async def told() -> list[Response]:
        async def echo(request: Request) -> Response:
            return answer({"path": request.path, "got": request.json()}, 201)

        server = Server(echo)
        connection = await WireConnection.open(await server.start(), None, "x")
        found = [
            await connection.exchange(Request("POST", p, {}, b'{"a": 1}')) for p in ("/1", "/2")
        ]
        connection.close()
        await server.stop()
        return found

    first, second = asyncio.run(told())
    assert (first.status, first.body) == (201, b'{"path": "/1", "got": {"a": 1}}')
    assert b"/2" in second.body


def ask(api: Api, path: str, token: str, key: str = "", body: bytes = b"{}") -> Response:
    headers = {"authorization": f"Bearer {token}", "idempotency-key": key}
    return asyncio.run(api.handle(Request("POST", path, headers, body)))


@pytest.fixture
def api(tmp_path: Path) -> Api:
    places = LabFolder(tmp_path)
    places.make()
    return Api(Operations(Fleet(places, ""), ChangeLog("")), "operator", "saboteur")


def test_a_repeated_step_is_done_once(api: Api) -> None:
    body = b'{"key": "pool_size", "value": 16}'
    first = ask(api, "/services/cart/config", "operator", "k1", body)
    again = ask(api, "/services/cart/config", "operator", "k1", body)
    other = ask(api, "/services/cart/config", "operator", "k2", body)
    assert first == again
    assert b"before 8" in first.body
    assert b"before 16" in other.body


def test_a_configuration_change_can_be_taken_back(api: Api) -> None:
    ask(api, "/services/cart/config", "operator", body=b'{"key": "timeout_s", "value": 0.01}')
    back = ask(api, "/services/cart/rollback", "operator")
    assert (back.status, back.body) == (200, b'{"done": "timeout_s of cart is 1.5 again"}')
    assert ask(api, "/services/cart/rollback", "operator").status == 409


def test_an_operator_cannot_break_things(api: Api) -> None:
    assert ask(api, "/faults/cart/signal", "operator", body=b'{"signal": "kill"}').status == 404
    assert ask(api, "/services/cart/restart", "wrong").status == 401


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/services/cart/scale", b'{"replicas": 9}', 409),
        ("/services/cart/scale", b"{}", 400),
        ("/services/cart/config", b'{"key": "nonsense", "value": 1}', 409),
        ("/services/cart/config", b"[1]", 400),
        ("/services/nobody/restart", b"{}", 404),
        ("/services/cart/certificate/renew", b"{}", 409),
    ],
)
def test_what_the_platform_does_not_do_it_says(
    api: Api, path: str, body: bytes, status: int
) -> None:
    assert ask(api, path, "operator", body=body).status == status
