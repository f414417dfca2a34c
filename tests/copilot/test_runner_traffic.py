"""Traffic moves in steps, with a look between and a way back; nothing unsafe reaches the proxy."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from copilot.hands.proxies import NginxFiles
from copilot.hands.report import StepFailedError
from copilot.hands.traffic import ProxyTarget, TrafficRunner
from copilot.sources.clock import SystemClock
from copilot.store import Store
from copilot.surfaces.commands.by_hand import HandRun
from copilot.testing.proxies import BalancedPool, haproxy, nginx
from knowledge_base import playbooks
from tools.playbook_executor import Policy, fill, step_key, undoes
from tools.types import Approval, Plan, PlanStep, StepResult

HEADER = (
    "# pxname,svname,stot,econ,eresp,status,weight,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,\n"
)


class StandingClock:
    """A clock that a sleep moves on."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.slept()


class ScriptedSocket:
    """A stats socket with servers of these states; what changes something is kept in `told`."""

    def __init__(self, path: Path, states: dict[str, str]) -> None:
        self.path, self.states, self.told = path, states, list[str]()
        self.weights = dict.fromkeys(states, 100)
        self.answers = {name: [0, 0] for name in states}
        self.level, self.refuses, self.configured = "admin", "", 100

    def answer(self, command: str) -> str:
        verb, *rest = command.split()
        if verb == "show":
            return (
                self.level
                if rest == ["cli", "level"]
                else HEADER + "".join(map(self._row, self.states))
            )
        if verb == "get":
            name = rest[1].partition("/")[2]
            return f"{self.weights[name]} (initial {self.configured})\n\n"
        if self.refuses:
            return self.refuses
        self.told.append(command)
        name = rest[1].partition("/")[2]
        if rest[2] == "weight":
            self.weights[name] = self.configured * int(rest[3].rstrip("%")) // 100
        elif self.states[name] in ("UP", "DRAIN"):
            self.states[name] = {"drain": "DRAIN", "ready": "UP"}[rest[3]]
        return "\n"

    def _row(self, name: str) -> str:
        good, bad = self.answers[name]
        return f"web,{name},0,0,0,{self.states[name]},{self.weights[name]},0,{good},0,0,{bad},\n"

    @contextmanager
    def serving(self) -> Iterator["ScriptedSocket"]:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(str(self.path))
        server.listen()
        threading.Thread(target=self._serve, args=(server,), daemon=True).start()
        try:
            yield self
        finally:
            server.close()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            with line:
                line.sendall(self.answer(line.recv(4096).decode().strip()).encode())


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[ScriptedSocket]:
    states = {"a1": "UP", "a2": "UP", "b1": "UP"}
    with ScriptedSocket(tmp_path / "s", states).serving() as one:
        yield one


def runner(
    proxy: ScriptedSocket, clock: StandingClock | None = None, keep: int = 1
) -> TrafficRunner:
    target = ProxyTarget(socket=proxy.path, groups={"zone-a": ("a1", "a2")}, keep=keep)
    return TrafficRunner({"edge": target}, clock or StandingClock())


def step(verb: str, server: str = "a1", **more: object) -> PlanStep:
    arguments = {"verb": verb, "proxy": "edge", "pool": "web", "server": server, **more}
    return PlanStep.model_validate(
        {"index": 0, "title": verb, "action": "traffic", "arguments": arguments}
    )


def test_a_share_a_drain_and_the_way_back_are_set_and_read_back(proxy: ScriptedSocket) -> None:
    one = runner(proxy)
    half = one.run(step("weigh", share=50), "k")
    assert half.ok, half.error
    assert "web/a1: weight 100 -> 50 of 100" in half.output
    drained = one.run(step("drain"), "k")
    assert "a1: drained" in drained.output
    assert one.run(step("drain"), "k").ok  # asked twice
    back = one.run(step("ready"), "k")
    assert "web/a1: weight 50 -> 100 of 100" in back.output
    assert proxy.states["a1"] == "UP"


def test_a_group_is_moved_as_one(proxy: ScriptedSocket) -> None:
    assert runner(proxy).run(step("drain", "zone-a"), "k").ok
    assert proxy.states == {"a1": "DRAIN", "a2": "DRAIN", "b1": "UP"}


UNSAFE = {
    "the last that serves": ({"a2": "DOWN", "b1": "DRAIN"}, step("drain"), "only 0 other servers"),
    "a share of the last": ({"a2": "DOWN", "b1": "MAINT"}, step("weigh", share=50), "only 0 other"),
    "all of a pool": ({"b1": "DOWN 1/2"}, step("drain", "zone-a"), "only 0 other servers"),
    "in maintenance": ({"a1": "MAINT"}, step("ready"), "in maintenance: a person set that"),
    "in maintenance, to drain": ({"a1": "MAINT"}, step("drain"), "in maintenance"),
    "no such server": ({}, step("drain", "zz"), "has no server 'zz'; it has a1, a2, b1"),
    "not in the vocabulary": ({}, step("maint"), "traffic step: arguments: Input tag 'maint'"),
    "a share above all": ({}, step("weigh", share=200), "share: Input should be less than"),
    "a share of nothing": ({}, step("weigh", share=0), "share: Input should be greater than"),
}


@pytest.mark.parametrize(("states", "asked", "said"), UNSAFE.values(), ids=UNSAFE.keys())
def test_what_is_unsafe_is_refused_and_nothing_is_set(
    states: dict[str, str], asked: PlanStep, said: str, proxy: ScriptedSocket
) -> None:
    proxy.states |= states
    result = runner(proxy).run(asked, "k")
    assert not result.ok
    assert said in result.error
    with pytest.raises(StepFailedError) as refused:
        runner(proxy).rehearse(asked)
    assert said in str(refused.value)
    assert proxy.told == []


def test_a_weight_that_cannot_be_shared_is_refused(proxy: ScriptedSocket) -> None:
    proxy.configured = 1
    result = runner(proxy).run(step("weigh", share=50), "k")
    assert "configured weight 1, of which 50 % is none; give the servers weight 100" in result.error


def test_an_answer_to_a_setting_is_a_refusal(proxy: ScriptedSocket) -> None:
    proxy.refuses = "Permission denied\n"
    assert (
        "refused 'set server web/a1 state drain': Permission denied"
        in runner(proxy).run(step("drain"), "k").error
    )


def test_a_look_measures_the_failures_of_its_seconds_at_the_others(proxy: ScriptedSocket) -> None:
    clock = StandingClock()
    asked = step("look", over_s=5, failed_share=0.05)

    def answered(name: str, good: int, bad: int) -> Callable[[], None]:
        return lambda: proxy.answers.update({name: [good, bad]})

    proxy.answers = {"a1": [0, 900], "a2": [0, 0], "b1": [100, 100]}
    clock.slept = answered("b1", 200, 105)
    good = runner(proxy, clock).run(asked, "k")
    assert good.ok, good.error
    assert "5 of 105 answers failed in 5 s" in good.output
    clock.slept = answered("b1", 250, 120)
    assert "15 of 65 answers failed" in runner(proxy, clock).run(asked, "k").error
    clock.slept = answered("b1", 0, 0)  # the proxy was started anew
    assert not runner(proxy, clock).run(asked, "k").ok
    clock.slept = answered("a1", 10, 900)
    itself = step("look", at="itself", over_s=5, failed_share=0.05)
    assert runner(proxy, clock).run(itself, "k").ok


def test_a_rehearsal_says_which_right_is_missing_and_sets_nothing(proxy: ScriptedSocket) -> None:
    proxy.level = "operator"
    found = runner(proxy).rehearse(step("drain"))
    assert found.seen == "web: a1: serves, a2: serves, b1: serves"
    assert found.refused.endswith("has level 'operator'; it needs admin")
    assert proxy.told == []


def test_a_proxy_that_is_away_is_an_error_with_its_place(tmp_path: Path) -> None:
    target = ProxyTarget(socket=tmp_path / "none")
    result = TrafficRunner({"edge": target}, StandingClock()).run(step("drain"), "k")
    assert "HAProxy at" in result.error
    assert "is not reached" in result.error


WRONG_TARGETS = {
    "no way": ({}, "needs one of socket, address and nginx"),
    "two ways": ({"socket": "/s", "address": "h:1"}, "needs one of socket, address and nginx"),
    "a relative socket": ({"socket": "s"}, "is not an absolute path"),
    "an address with a path": ({"address": "h:1/x"}, "address"),
    "no port": ({"address": "h"}, "is no host:port"),
    "a port above all": ({"address": "h:70000"}, "is no host:port"),
    "port nought": ({"address": "h:0"}, "is no host:port"),
    "IPv6 without brackets": ({"address": "::1:9999"}, r"nor \[IPv6\]:port"),
    "a line end after an address": ({"address": "h:1\n"}, "is no host:port"),
    "nothing kept": ({"address": "h:1", "keep": 0}, "keep"),
}


@pytest.mark.parametrize(("fields", "said"), WRONG_TARGETS.values(), ids=WRONG_TARGETS.keys())
def test_a_wrong_target_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ProxyTarget.model_validate(fields)


@pytest.mark.parametrize(
    ("place", "family"), [("127.0.0.1", socket.AF_INET), ("[::1]", socket.AF_INET6)]
)
def test_an_address_is_called_by_either_protocol(place: str, family: socket.AddressFamily) -> None:
    try:
        listening = socket.create_server((place.strip("[]"), 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {place}")
    with listening as server:

        def serve() -> None:
            with server.accept()[0] as line:
                line.recv(4096)
                line.sendall(b"admin\n")

        threading.Thread(target=serve, daemon=True).start()
        target = ProxyTarget(address=f"{place}:{server.getsockname()[1]}")
        assert target.connect().forbidden() == ""


NAMES = [
    "a1; disable frontend web",
    "a1\nshutdown",
    "a1 weight 1",
    "web/a1",
    "a1\x00",
    "ａ１",
    "-1",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["server", "pool"])
def test_no_name_carries_a_second_command_to_the_proxy(
    part: str, name: str, proxy: ScriptedSocket
) -> None:
    result = runner(proxy).run(step("drain", **{part: name}), "k")
    assert "is not a name" in result.error
    with pytest.raises(ValueError, match="is not a name"):
        ProxyTarget.model_validate({"address": "h:1", "groups": {"g": [name]}})
    assert proxy.told == []


def test_a_group_that_is_moved_half_says_which_half(proxy: ScriptedSocket) -> None:
    told = proxy.answer

    def answer(command: str) -> str:
        return "No such server.\n" if command == "set server web/a2 state drain" else told(command)

    proxy.answer = answer  # type: ignore[method-assign]
    result = runner(proxy).run(step("drain", "zone-a"), "k")
    assert "refused 'set server web/a2 state drain'" in result.error
    assert result.output == "drain was done for a1 of web"


def test_what_answered_nothing_is_not_said_to_answer_well(proxy: ScriptedSocket) -> None:
    asked = step("look", at="itself", over_s=5, failed_share=0.05)
    result = runner(proxy).run(asked, "k")
    assert "a1 of web: no answer in 5 s" in result.error


RETURN = next(one for one in playbooks() if one.id == "return-servers")


@pytest.mark.parametrize(("bad", "ran"), [(0, ["ready", "look", "ready"]), (9, ["ready", "look"])])
def test_the_first_server_comes_back_alone_and_the_others_where_it_answers_well(
    bad: int, ran: list[str], proxy: ScriptedSocket
) -> None:
    def answers() -> None:
        proxy.answers["a1"] = [20 - bad, bad]

    values = {"proxy": "edge", "pool": "web", "servers": "a1, a2", "failed_share": 0.05}
    plan = fill(RETURN, values, "inc-1", "web", (), 1.0, 900.0)
    clock = StandingClock()
    clock.slept = answers
    hands, results = runner(proxy, clock), list[StepResult]()
    for one in plan.steps:
        results.append(hands.run(one, step_key(plan, one.index)))
        if not results[-1].ok:
            break
    assert [str(one.arguments["verb"]) for one in plan.steps[: len(results)]] == ran
    assert undoes(plan, results) is bool(bad)
    assert [str(one.arguments["server"]) for one in plan.rollback] == ["a1", "a2"]


# --- nginx's files ------------------------------------------------------------------------------

POOL = """  server 127.0.0.1:8001 weight=40 max_fails=3; # a1
  server 127.0.0.1:8002; # b1
  # server 127.0.0.1:8003; # c1
  keepalive 8;
"""


def files(
    folder: Path, text: str = POOL, binary: str = "/bin/true", clock: StandingClock | None = None
) -> TrafficRunner:
    (folder / "web.conf").write_text(text)
    (folder / "log").touch()
    proxy = NginxFiles(folder=folder, log=folder / "log", binary=Path(binary))
    return TrafficRunner({"edge": ProxyTarget(nginx=proxy)}, clock or StandingClock())


def test_only_the_line_of_the_server_changes_and_comes_back(tmp_path: Path) -> None:
    hands = files(tmp_path)
    other = POOL.splitlines()[1:]
    for asked, line in (
        (step("weigh", share=50), "  server 127.0.0.1:8001 weight=20 max_fails=3; # a1 of 40"),
        (step("drain"), "  server 127.0.0.1:8001 weight=20 max_fails=3 down; # a1 of 40 drained"),
        (step("ready"), "  server 127.0.0.1:8001 weight=40 max_fails=3; # a1 of 40"),
    ):
        for _ in range(2):  # asked twice, done once
            result = hands.run(asked, "k")
            assert result.ok, result.error
            assert (tmp_path / "web.conf").read_text().splitlines() == [line, *other]


def test_what_is_approved_says_what_is_run_there(tmp_path: Path) -> None:
    given = {"folder": tmp_path, "log": tmp_path / "log"}
    others: list[dict[str, object]] = [
        {},
        {"binary": Path("/opt/nginx")},
        {"config": Path("/etc/other.conf")},
        {"log": Path("/var/log/other")},
    ]
    targets = [ProxyTarget(nginx=NginxFiles.model_validate({**given, **one})) for one in others]
    assert len({one.meaning(step("drain")) for one in targets}) == len(others)


def test_what_another_ends_a_line_with_ends_none_for_nginx(tmp_path: Path) -> None:
    kept = "  # once:\u2028server 127.0.0.1:9; # x9\r\n\n  keepalive 8;"
    text = f"server 127.0.0.1:1 weight=100; # a1\nserver 127.0.0.1:2; # b1\n{kept}"
    assert not files(tmp_path, text, binary="/bin/false").run(step("drain"), "k").ok
    assert (tmp_path / "web.conf").read_bytes() == text.encode()
    hands = files(tmp_path, text)
    assert "x9" not in hands.rehearse(step("drain")).seen
    assert hands.run(step("drain"), "k").ok
    assert (tmp_path / "web.conf").read_bytes().endswith(kept.encode())


def test_a_step_cut_off_before_its_reload_is_reloaded_when_it_is_repeated(tmp_path: Path) -> None:
    assert files(tmp_path).run(step("drain"), "k").ok
    drained = (tmp_path / "web.conf").read_text()
    told = tmp_path / "nginx"
    told.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n')
    told.chmod(0o755)
    assert files(tmp_path, drained, binary=str(told)).run(step("drain"), "k").ok
    assert "-s reload" in (tmp_path / "told").read_text()


BAD_FILES = {
    "another's down": ("server 127.0.0.1:1 down; # a1\nserver 127.0.0.1:2; # b1", "maintenance"),
    "a host name": ("server a1.internal:80; # a1\nserver 127.0.0.1:2; # b1", "as the log has"),
    "twice": ("server 127.0.0.1:1 weight=100; # a1\n" * 2 + "server 127.0.0.1:2; # b1", "2 times"),
    "no names": ("server 127.0.0.1:1;\nserver 127.0.0.1:2;", "names no server"),
    "alone": ("server 127.0.0.1:1 weight=100; # a1", "only 0 other servers"),
    "a small weight": ("server 127.0.0.1:1; # a1\nserver 127.0.0.1:2; # b1", "give the servers"),
    "too long": ("#" * 70_000, "longer than"),
    "a name that is none": ("server 127.0.0.1:1; # a1;x\nserver 127.0.0.1:2; # b1", "not a name"),
}


@pytest.mark.parametrize(("text", "said"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_is_not_as_declared_is_left_as_it_is(
    text: str, said: str, tmp_path: Path
) -> None:
    result = files(tmp_path, text).run(step("weigh", share=50), "k")
    assert said in result.error
    assert (tmp_path / "web.conf").read_text() == text


def test_what_nginx_does_not_take_is_put_back(tmp_path: Path) -> None:
    result = files(tmp_path, binary="/bin/false").run(step("drain"), "k")
    assert "web.conf is as it was" in result.error
    assert (tmp_path / "web.conf").read_text() == POOL


def test_no_link_and_no_other_pool_is_written(tmp_path: Path) -> None:
    hands = files(tmp_path)
    (tmp_path / "web.conf").rename(tmp_path / "real")
    (tmp_path / "web.conf").symlink_to(tmp_path / "real")
    assert "there is no file" in hands.run(step("drain"), "k").error
    assert "there is no file" in hands.run(step("drain", pool="other"), "k").error
    assert "not a name" in hands.run(step("drain", pool="../web"), "k").error
    assert (tmp_path / "real").read_text() == POOL


LOGS = {
    "good": ("127.0.0.1:8001|200\n" * 20, "0 of 20 answers failed"),
    "one in ten": ("127.0.0.1:8001|200\n" * 18 + "127.0.0.1:8001|502\n" * 2, "2 of 20 answers"),
    "tried elsewhere": ("127.0.0.1:8001, 127.0.0.1:8002|502, 200\n" * 3, "3 of 3 answers failed"),
    "no news": ("", "no answer in 20 s"),
    "left before it answered": ("127.0.0.1:8001|-\n" * 20, "no answer in 20 s"),
    "others": ("127.0.0.1:9|500\n-|-\nnonsense\n\xff|\n", "no answer in 20 s"),
}


@pytest.mark.parametrize(("lines", "said"), LOGS.values(), ids=LOGS)
def test_a_look_counts_what_the_log_says_since_it_began(
    lines: str, said: str, tmp_path: Path
) -> None:
    clock = StandingClock()
    hands = files(tmp_path, clock=clock)
    (tmp_path / "log").write_text("127.0.0.1:8001|500\n" * 9)

    def served() -> None:
        with (tmp_path / "log").open("a", encoding="latin-1") as log:
            log.write(lines)

    clock.slept = served
    asked = step("look", at="itself", over_s=20, failed_share=0.05)
    result = hands.run(asked, "k")
    assert said in (result.error or result.output)
    assert result.ok is (said.startswith("0 of"))


def test_a_log_that_is_gone_is_no_answer(tmp_path: Path) -> None:
    clock = StandingClock()
    hands = files(tmp_path, clock=clock)
    (tmp_path / "log").write_text("127.0.0.1:8001|500\n" * 9)
    clock.slept = (tmp_path / "log").unlink
    asked = step("look", at="itself", over_s=20, failed_share=0.05)
    assert "is not read" in hands.run(asked, "k").error


# --- through a real HAProxy, and a real nginx ---------------------------------------------------


class HurriedClock(SystemClock):
    """A clock whose sleeps are a tenth as long; `before` is told the number of each."""

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        self._before, self._sleeps = before, 0

    def sleep(self, seconds: float) -> None:
        self._sleeps += 1
        self._before(self._sleeps)
        super().sleep(seconds / 10)


def shift(server: str = "a1", playbook: str = "shift-traffic") -> Plan:
    known = {one.id: one for one in playbooks()}[playbook]
    values = {"proxy": "edge", "pool": "web", "server": server}
    return fill(known, values, "inc-1", "web", (), SystemClock().now(), 900.0)


def carried_out(
    plan: Plan, pool: BalancedPool, folder: Path, looking: Callable[[int], None] = lambda _: None
) -> list[StepResult]:
    store, clock = Store(f"sqlite:///{folder / 'store.sqlite'}"), SystemClock()
    store.create()
    yes = Approval(
        plan_id=plan.id,
        digest=plan.digest,
        decision="approve",
        approver="ann",
        decided_at=clock.now(),
    )
    hands = TrafficRunner({"edge": pool.proxy}, HurriedClock(looking))
    try:
        return HandRun(store, clock, hands, Policy(), {}).run(plan, [yes])
    finally:
        store.close()


@pytest.mark.integration
@pytest.mark.parametrize("balanced", [haproxy, nginx])
def test_traffic_leaves_a_broken_server_in_steps_and_comes_back(
    balanced: Callable[[Path], AbstractContextManager[BalancedPool]], tmp_path: Path
) -> None:
    with balanced(tmp_path) as pool:
        pool.servers["a1"].broken = True
        assert pool.shares() == {"a1": 30, "b1": 30}
        plan = shift()
        with pool.visited():
            results = carried_out(plan, pool, tmp_path)
        assert [one.ok for one in results] == [True] * 5, results
        assert pool.shares() == {"a1": 0, "b1": 60}
        pool.servers["a1"].broken = False
        with pool.visited():
            back = carried_out(shift(playbook="return-traffic"), pool, tmp_path)
        assert [one.ok for one in back] == [True] * 4, back
        assert pool.shares() == {"a1": 30, "b1": 30}


@pytest.mark.integration
def test_traffic_goes_back_by_itself_where_the_others_do_not_carry_it(tmp_path: Path) -> None:
    with haproxy(tmp_path) as pool:
        plan = shift()

        def hurt(look: int) -> None:
            pool.servers["b1"].broken = look > 1  # once half of the traffic was taken away

        with pool.visited():
            results = carried_out(plan, pool, tmp_path, hurt)
        assert [one.ok for one in results] == [True, True, False, True]
        assert undoes(plan, results)
        assert pool.shares() == {"a1": 30, "b1": 30}


@pytest.mark.integration
def test_nginx_keeps_its_files_where_it_does_not_take_a_change(tmp_path: Path) -> None:
    with nginx(tmp_path) as pool:
        hands = TrafficRunner({"edge": pool.proxy}, SystemClock())
        assert hands.rehearse(step("drain")).refused == ""
        before = (tmp_path / "web.conf").read_text()
        config = (tmp_path / "nginx.conf").read_text()
        (tmp_path / "nginx.conf").write_text(config.replace("events", "evnets"))
        assert 'unknown directive "evnets"' in hands.rehearse(step("drain")).refused
        refused = hands.run(step("drain"), "k")
        assert "web.conf is as it was" in refused.error
        assert (tmp_path / "web.conf").read_text() == before
        (tmp_path / "nginx.conf").write_text(config)
        assert hands.run(step("weigh", share=50), "k").ok
        assert "weight=50; # a1 of 100" in (tmp_path / "web.conf").read_text()
        assert "# of the shop" in (tmp_path / "web.conf").read_text()
        assert hands.run(step("drain"), "k").ok
        assert " down; # a1 of 100 drained" in (tmp_path / "web.conf").read_text()
        assert "only 0 other servers" in hands.run(step("drain", "b1"), "k").error


@pytest.mark.integration
def test_a_socket_without_the_right_is_known_before_the_night(tmp_path: Path) -> None:
    with haproxy(tmp_path, level="operator") as pool:
        hands = TrafficRunner({"edge": pool.proxy}, SystemClock())
        assert "needs admin" in hands.rehearse(step("drain")).refused
        assert "Permission denied" in hands.run(step("drain"), "k").error
        with pytest.raises(StepFailedError, match="has no pool 'nil'"):
            hands.rehearse(
                step("drain").model_copy(
                    update={"arguments": step("drain").arguments | {"pool": "nil"}}
                )
            )
