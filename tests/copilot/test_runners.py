"""Runners: one contract for all, and what each must refuse before it touches anything."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from copilot.hands import (
    ActionRunner,
    Base,
    CheckRunner,
    CommandRunner,
    DryRunRunner,
    HttpRunner,
    ManualRunner,
    SettingsFileRunner,
    WaitRunner,
)
from copilot.hands.http import HttpCaller
from copilot.hands.report import CHARACTERS, shown
from copilot.ports import Runner, SourceError
from tools.types import PlanStep, Series, StepAction, Timestamp, Window

KEY = "inc-1:" + "a" * 64 + ":0"


class StandingClock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self) -> None:
        self._now = 1_772_546_400.0

    def now(self) -> Timestamp:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


CLOCK = StandingClock()


def step(action: StepAction, timeout_s: float = 5.0, **arguments: object) -> PlanStep:
    return PlanStep.model_validate(
        {
            "index": 0,
            "title": "a step",
            "action": action,
            "arguments": arguments,
            "timeout_s": timeout_s,
        }
    )


class Metrics:
    """One series, or a source that is away."""

    def __init__(self, values: list[float], away: bool = False) -> None:
        self._values = np.array(values)
        self._away = away

    def series(self, window: Window) -> list[Series]:
        if self._away:
            raise SourceError("metrics", "connection refused", recoverable=True)
        times = np.linspace(window.start, window.end, len(self._values))
        return [Series("cart", "disk_pct", times, self._values)]

    def baseline(self, before: Timestamp) -> list[Series]:
        return []


def answering(status: int = 200, text: str = "done") -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: httpx.Response(status, text=text))


def calling(
    bases: dict[str, Base], transport: httpx.BaseTransport, clock: StandingClock | None = None
) -> HttpRunner:
    """A runner of HTTP steps; a clock is its stopwatch, too."""
    watch = clock.now if clock is not None else time.monotonic
    return HttpRunner(HttpCaller(bases, transport, watch), clock or CLOCK)


def program(folder: Path, script: str, name: str = "disk-cleanup") -> CommandRunner:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o700)
    return CommandRunner({name: path}, CLOCK)


def settings_folder(folder: Path) -> Path:
    (folder / "cart.json").write_text(
        '{"flags": {"one-tap": true}, "config": {"pool_size": 20}}', encoding="utf-8"
    )
    return folder


Made = tuple[Runner, PlanStep]
GOOD: dict[str, Callable[[Path], Made]] = {
    "dry run": lambda _: (DryRunRunner(CLOCK), step("wait", seconds=5)),
    "wait": lambda _: (WaitRunner(CLOCK), step("wait", seconds=5)),
    "check": lambda _: (
        CheckRunner(Metrics([90.0, 70.0]), CLOCK),
        step("check", owner="cart", metric="disk_pct", comparison="<", value=85),
    ),
    "manual": lambda _: (
        ManualRunner(lambda instruction, key: "ann", CLOCK),
        step("manual", instruction="Renew it."),
    ),
    "http": lambda _: (
        calling({"ops": Base("https://ops.example/api")}, answering()),
        step("http", base="ops", method="POST", path="/cache/flush"),
    ),
    "command": lambda folder: (
        program(folder, 'echo "$@"'),
        step("command", argv=["disk-cleanup", "--service", "cart"]),
    ),
    "flag": lambda folder: (
        SettingsFileRunner(settings_folder(folder), CLOCK),
        step("feature_flag", service="cart", flag="one-tap", value=False),
    ),
    "config": lambda folder: (
        SettingsFileRunner(settings_folder(folder), CLOCK),
        step("config", service="cart", key="pool_size", value=40),
    ),
    "dispatch": lambda _: (
        ActionRunner({"wait": WaitRunner(CLOCK)}, CLOCK),
        step("wait", seconds=0),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_step_is_run_and_reported_under_its_key(name: str, tmp_path: Path) -> None:
    runner, good = GOOD[name](tmp_path)
    result = runner.run(good, KEY)
    assert (result.key, result.ok, result.error) == (KEY, True, "")
    assert result.started_at <= result.ended_at
    assert result.output
    assert result.dry_run == (name == "dry run") == (not runner.touches(good))


@pytest.mark.parametrize("name", GOOD)
def test_a_step_of_the_wrong_shape_is_refused(name: str, tmp_path: Path) -> None:
    runner, good = GOOD[name](tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    surplus = good.model_copy(update={"arguments": {**good.arguments, "sudo": True}})
    foreign = step("manual" if good.action != "manual" else "wait", instruction="x", seconds=1)
    for bad in (surplus, foreign, step(good.action)):
        result = runner.run(bad, KEY)
        assert not result.ok
        assert result.error
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_action_without_a_runner_is_named() -> None:
    result = ActionRunner({"wait": WaitRunner(CLOCK)}, CLOCK).run(step("command"), KEY)
    assert "no runner for 'command'; configured: wait" in result.error


def test_a_step_without_a_runner_touches_nothing() -> None:
    runner = ActionRunner({"wait": WaitRunner(CLOCK)}, CLOCK)
    assert runner.touches(step("wait", seconds=1))
    assert not runner.touches(step("http", base="ops", method="POST", path="/x"))


def test_output_is_made_safe_and_capped() -> None:
    text = "ok\x1b[2J\x00\u202e\npassword=hunter2\n" + "x" * 10 * CHARACTERS
    safe = shown(text)
    assert len(safe) <= CHARACTERS + 10
    assert "hunter2" not in safe
    assert not {"\x1b", "\x00", "\u202e"} & set(safe)
    assert safe.endswith("… cut")


# Plain actions


def test_a_wait_holds_nobody_up_the_run_was_put_off_for_it_before() -> None:
    result = WaitRunner(StandingClock()).run(step("wait", seconds=30), KEY)
    assert (result.ok, result.output) == (True, "waited 30 s")
    assert result.ended_at == result.started_at


@pytest.mark.parametrize(
    ("metrics", "problem"),
    [
        pytest.param(Metrics([70.0, 90.0]), "disk_pct is 90; wanted < 85", id="does not hold"),
        pytest.param(Metrics([float("nan")]), "no recent point", id="only gaps"),
        pytest.param(Metrics([], away=True), "connection refused", id="source away"),
    ],
)
def test_a_check_that_does_not_hold_stops_the_plan(metrics: Metrics, problem: str) -> None:
    check = step("check", owner="cart", metric="disk_pct", comparison="<", value=85)
    result = CheckRunner(metrics, CLOCK).run(check, KEY)
    assert not result.ok
    assert problem in result.error


def test_no_answer_of_a_person_is_a_no() -> None:
    result = ManualRunner(lambda instruction, key: "", CLOCK).run(
        step("manual", instruction="Renew it."), KEY
    )
    assert not result.ok
    assert "nobody confirmed" in result.error


# HTTP


def recording(requests: list[httpx.Request], answer: httpx.Response) -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return answer

    return httpx.MockTransport(handle)


def test_the_request_goes_to_the_base_with_its_headers_and_the_key() -> None:
    requests: list[httpx.Request] = []
    base = Base("https://ops.example:8443/api/", lambda: {"Authorization": "Bearer t"})
    runner = calling({"ops": base}, recording(requests, httpx.Response(202)))
    call = step(
        "http",
        base="ops",
        method="POST",
        path="/limits/cart",
        query={"force": True, "rps": 120},
        body={"rps": 120},
        expect=[202],
    )
    assert runner.run(call, KEY).ok
    (request,) = requests
    assert str(request.url) == "https://ops.example:8443/api/limits/cart?force=true&rps=120"
    assert json.loads(request.content) == {"rps": 120}
    assert request.headers["Authorization"] == "Bearer t"
    assert request.headers["Idempotency-Key"] == KEY


@pytest.mark.parametrize("status", [204, 302, 404, 500])
def test_a_status_that_is_not_expected_fails_with_the_answer(status: int) -> None:
    runner = calling({"ops": Base("http://ops.example")}, answering(status, "why"))
    result = runner.run(step("http", base="ops", method="GET", path="/"), KEY)
    assert not result.ok
    assert f"answered {status}; expected 200" in result.error
    assert result.output == "why"


def test_a_redirect_is_not_followed() -> None:
    requests: list[httpx.Request] = []
    moved = httpx.Response(307, headers={"Location": "http://evil.example/steal"})
    runner = calling({"ops": Base("http://ops.example")}, recording(requests, moved))
    result = runner.run(step("http", base="ops", method="POST", path="/x", expect=[200, 307]), KEY)
    assert result.ok
    assert [request.url.host for request in requests] == ["ops.example"]


@pytest.mark.parametrize(
    ("base", "path"),
    [
        pytest.param("other", "/", id="base not on the list"),
        pytest.param("http://evil.example", "/", id="address as a base"),
        pytest.param("ops", "//evil.example/x", id="another host by two slashes"),
        pytest.param("ops", "/\\evil.example", id="another host by a backslash"),
        pytest.param("ops", "@evil.example/", id="the base as a user name"),
        pytest.param("ops", ".evil.example/", id="the base as a sub-domain"),
        pytest.param("ops", ":9999/", id="another port"),
        pytest.param("ops", "/../admin", id="above the base"),
        pytest.param("ops", "/a/./b", id="dot segment"),
        pytest.param("ops", "/%2e%2e/admin", id="encoded dot segments"),
        pytest.param("ops", "/a%2fb", id="encoded slash"),
        pytest.param("ops", "/a?admin=1", id="query in the path"),
        pytest.param("ops", "/a#b", id="fragment"),
        pytest.param("ops", "/a\r\nX: y", id="header split"),
        pytest.param("ops", "/a b", id="space"),
        pytest.param("ops", "/\u2025/", id="two-dot leader"),
        pytest.param("ops", "", id="empty"),
        pytest.param("ops", "/" + "a" * 400, id="very long"),
        pytest.param("ops", "http://evil.example/", id="whole address as a path"),
    ],
)
def test_no_path_leads_away_from_the_base(base: str, path: str) -> None:
    requests: list[httpx.Request] = []
    transport = recording(requests, httpx.Response(200))
    runner = calling({"ops": Base("http://ops.example/api")}, transport)
    result = runner.run(step("http", base=base, method="GET", path=path), KEY)
    assert not result.ok
    assert requests == []


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("ftp://ops.example", id="scheme"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("ops.example", id="no scheme"),
        pytest.param("http://", id="no host"),
        pytest.param("http://ann:secret@ops.example", id="credentials"),
        pytest.param("http://ops.example?x=1", id="query"),
        pytest.param("http://ops.example#x", id="fragment"),
        pytest.param("http://ops.example\\@evil.example", id="backslash"),
    ],
)
def test_a_base_is_a_plain_address(url: str) -> None:
    with pytest.raises((ValueError, httpx.InvalidURL)):
        Base(url)


def test_the_token_of_a_base_is_not_shown() -> None:
    assert "sesame" not in repr(
        Base("http://ops.example", lambda: {"Authorization": "Bearer sesame"})
    )


def test_an_endless_answer_is_cut() -> None:
    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"x" * 1024

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Endless()))
    runner = calling({"ops": Base("http://ops.example")}, transport)
    result = runner.run(step("http", base="ops", method="GET", path="/"), KEY)
    assert result.ok
    assert len(result.output) <= CHARACTERS + 10


def test_an_answer_that_drips_runs_into_the_timeout() -> None:
    clock = StandingClock()

    class Drip(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                clock.sleep(1.0)
                yield b"."

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Drip()))
    runner = calling({"ops": Base("http://ops.example")}, transport, clock)
    result = runner.run(step("http", base="ops", method="GET", path="/"), KEY)
    assert not result.ok
    assert "took too long" in result.error


def test_a_host_that_is_away_is_a_failed_step() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    runner = calling({"ops": Base("http://ops.example")}, httpx.MockTransport(refuse))
    result = runner.run(step("http", base="ops", method="GET", path="/"), KEY)
    assert "connection refused" in result.error


# Commands


def run_program(folder: Path, script: str, timeout_s: float = 10.0) -> tuple[bool, str, str]:
    runner = program(folder, script)
    result = runner.run(
        step("command", timeout_s, argv=["disk-cleanup", "--service", "a b;$(id)"]), KEY
    )
    return result.ok, result.output, result.error


def test_arguments_arrive_as_they_are(tmp_path: Path) -> None:
    assert run_program(tmp_path, 'printf "%s|" "$@"') == (True, "--service|a b;$(id)|", "")


def test_the_environment_is_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPILOT_TOKEN", "sesame")
    ok, output, _ = run_program(tmp_path, "env | sort")
    assert ok
    assert {line.partition("=")[0] for line in output.splitlines()} <= {
        "COPILOT_STEP_KEY",
        "HOME",
        "LC_ALL",
        "PATH",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    }


def test_there_is_no_input_and_no_terminal(tmp_path: Path) -> None:
    assert run_program(tmp_path, "cat; test -t 1 || echo none")[1] == "none"


def test_an_exit_status_is_a_failure_with_the_output(tmp_path: Path) -> None:
    ok, output, error = run_program(tmp_path, "echo half; echo bad >&2; exit 3")
    assert not ok
    assert output == "half\nbad"
    assert "exited with 3" in error


def test_a_flood_of_output_is_read_and_cut(tmp_path: Path) -> None:
    ok, output, _ = run_program(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x; echo end")
    assert ok
    assert len(output) <= CHARACTERS + 10


def runs(pid: int) -> bool:
    """Whether the process is there and no mere entry that nobody has collected yet."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def test_what_takes_too_long_is_killed_with_what_it_started(tmp_path: Path) -> None:
    marker = tmp_path / "child"
    script = f"sh -c 'echo $$ > {marker}; exec sleep 60' & echo started; sleep 60"
    began = time.monotonic()
    ok, output, error = run_program(tmp_path, script, timeout_s=0.5)
    assert (ok, output) == (False, "started")
    assert "killed after 0.5 s" in error
    assert time.monotonic() - began < 30
    child = int(marker.read_text(encoding="utf-8"))
    for _ in range(100):
        if not runs(child):
            break
        time.sleep(0.05)
    assert not runs(child)


def test_what_is_left_behind_does_not_hold_the_step(tmp_path: Path) -> None:
    began = time.monotonic()
    ok, output, _ = run_program(tmp_path, "sleep 60 & echo done")
    assert (ok, output) == (True, "done")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["sh", "-c", "reboot"], id="a shell"),
        pytest.param(["disk-cleanup-2"], id="a longer name"),
        pytest.param(["/bin/sh"], id="a path"),
        pytest.param(["../program"], id="a relative path"),
        pytest.param(["disk-cleanup", "a\x00b"], id="a null byte"),
        pytest.param(["disk-cleanup", "a\nb"], id="a line break"),
        pytest.param(["disk-cleanup", "\x1b[2J"], id="an escape sequence"),
        pytest.param(["disk-cleanup"] + ["x"] * 99, id="very many arguments"),
        pytest.param(["disk-cleanup", "x" * 9999], id="a very long argument"),
        pytest.param("disk-cleanup", id="one text"),
    ],
)
def test_what_is_not_allowed_is_not_started(argv: object, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    result = program(tmp_path, f"touch {marker}").run(step("command", argv=argv), KEY)
    assert not result.ok
    assert not marker.exists()


@pytest.mark.parametrize("path", ["sh", "./sh", "/bin/does-not-exist", "/tmp"])
def test_the_allow_list_names_executables_by_absolute_path(path: str) -> None:
    with pytest.raises(ValueError, match="not an absolute executable"):
        CommandRunner({"sh": Path(path)}, CLOCK)


# Settings file


def read(folder: Path) -> object:
    return json.loads((folder / "cart.json").read_text(encoding="utf-8"))


def test_flags_and_values_are_set_and_taken_away(tmp_path: Path) -> None:
    runner = SettingsFileRunner(settings_folder(tmp_path), CLOCK)
    steps = [
        step("feature_flag", service="cart", flag="one-tap", value=False),
        step("config", service="cart", key="upstream.bank", value="standby"),
        step("config", service="cart", key="pool_size", value=None),
    ]
    outputs = [runner.run(one, KEY).output for one in steps]
    assert outputs == [
        "cart: flag one-tap true -> false",
        'cart: upstream.bank unset -> "standby"',
        "cart: pool_size 20 -> unset",
    ]
    assert read(tmp_path) == {"flags": {"one-tap": False}, "config": {"upstream.bank": "standby"}}
    assert [path.name for path in tmp_path.iterdir()] == ["cart.json"]


def test_a_service_without_a_file_is_not_made_up(tmp_path: Path) -> None:
    runner = SettingsFileRunner(settings_folder(tmp_path), CLOCK)
    result = runner.run(step("config", service="cant", key="pool_size", value=1), KEY)
    assert "'cant' has no settings file" in result.error
    assert [path.name for path in tmp_path.iterdir()] == ["cart.json"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside.json", tmp_path / "settings"
    outside.write_text("{}", encoding="utf-8")
    folder.mkdir()
    (folder / "cart.json").symlink_to(outside)
    runner = SettingsFileRunner(folder, CLOCK)
    assert not runner.run(step("config", service="cart", key="pool_size", value=1), KEY).ok
    assert outside.read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize("text", ["", "[]", '{"flags": {"a": "on"}}', '{"other": 1}'])
def test_a_file_that_is_not_understood_is_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / "cart.json").write_text(text, encoding="utf-8")
    result = SettingsFileRunner(tmp_path, CLOCK).run(
        step("config", service="cart", key="pool_size", value=1), KEY
    )
    assert not result.ok
    assert (tmp_path / "cart.json").read_text(encoding="utf-8") == text
