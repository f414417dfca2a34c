"""A job that people own is started once, followed by its id, cancelled, and read to its end."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pytest

from copilot.case.following import JobWatch
from copilot.hands import RunnersFileError, meaning, read_runners
from copilot.hands.credentials import HttpBase, SecretReader
from copilot.hands.http import HttpCaller
from copilot.hands.job_systems import JobParameter, job_system
from copilot.hands.jobs import CANCELLED_WITHIN_S, JobHandle, JobRunner, JobTarget
from copilot.store import HaltRecord, OutboxEntry, Store, StoreError
from copilot.testing.job_servers import JOB_TOKEN, KEY_NAME, PLAYED, JobServer
from copilot.testing.strict_http import HttpReply, ServerFailure, serving
from tools.types import PlanStep, Timestamp

KEY = "inc-1:" + "a" * 64 + ":0"
WHICH: dict[str, dict[str, str]] = {
    "awx": {"template": "7"},
    "rundeck": {"job": "7"},
    "jenkins": {"job": "ops/job/restart"},
    "github-actions": {"repository": "shop/ops", "workflow": "restart.yml", "ref": "main"},
    "gitlab": {"project": "shop%2Fops", "ref": "main"},
    "stackstorm": {"action": "ops.restart"},
    "aws-ssm": {"document": "Restart"},
    "aliyun-oos": {"region": "cn-hangzhou", "template": "Restart"},
}
LED: dict[str, dict[str, str]] = {
    "patroni": {},
    "orchestrator": {"cluster": "shop", "port": "3306"},
}
"""Systems that have another member of a database lead."""
BY_PARAMETER = [name for name in WHICH if job_system(name).find and name != "stackstorm"]
"""Systems whose jobs are found again by a parameter of their own."""


class MovedClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> Timestamp:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


class Played(NamedTuple):
    server: JobServer
    runner: JobRunner
    clock: MovedClock


def job_step(**parameters: object) -> PlanStep:
    """A step that restarts a host by the job `restart-web`, in at most a minute."""
    given = {k: v for k, v in {"host": "web-1", **parameters}.items() if v is not None}
    return PlanStep.model_validate(
        {
            "index": 0,
            "title": "t",
            "action": "job",
            "arguments": {"job": "restart-web", "parameters": given},
            "timeout_s": 60,
        }
    )


@contextmanager
def playing(system: str, keyed: bool = True, token: str = JOB_TOKEN) -> Iterator[Played]:
    """A server of the system, and a runner that reaches it with its token."""
    with serving(JobServer(system)) as server:
        declared = job_system(system)
        held = f"ops:{token}" if declared.token_as == "basic" else token
        base = HttpBase(url=server.url, token_env="T", token_as=declared.token_as)
        reader = SecretReader(Path("runners.toml"), {"T": held})
        caller = HttpCaller({"it": reader.base("it", base)})
        target = JobTarget(
            system=system,
            base="it",
            of=WHICH[system],
            parameters={"host": JobParameter(type="name")},
            keyed=KEY_NAME if keyed and system in BY_PARAMETER else None,
        )
        clock = MovedClock()
        yield Played(server, JobRunner({"restart-web": target}, caller, clock), clock)


@pytest.fixture(params=list(WHICH))
def played(request: pytest.FixtureRequest) -> Iterator[Played]:
    """Each of the systems."""
    with playing(request.param) as found:
        yield found


def begun(played: Played) -> JobHandle:
    """A job that was started, and what it is known by."""
    result = played.runner.run(job_step(), KEY)
    assert result.ok, result.error
    return JobHandle.model_validate_json(result.output)


def test_every_shipped_system_is_played() -> None:
    shipped = {one.name for one in files("knowledge_base").joinpath("jobs").iterdir()}
    assert {f"{one}.yaml" for one in PLAYED} == shipped
    assert set(PLAYED) == {*WHICH, *LED}


def test_a_job_is_followed_from_the_queue_to_its_end_and_its_log_is_read(played: Played) -> None:
    handle, step = begun(played), job_step()
    (job,) = played.server.jobs
    assert job.parameters["host"] == "web-1"
    for state in ("queued", "running"):
        played.server.advance(state)
        seen = played.runner.look(step, KEY, handle, 1000.0)
        assert seen.result is None
        handle = seen.handle
    played.server.advance("succeeded")
    done = played.runner.look(step, KEY, handle, 1000.0)
    assert done.result is not None
    assert done.result.ok
    assert "PLAY RECAP" in done.result.output
    assert len(played.server.jobs) == 1


def test_a_job_that_fails_is_a_failed_step_with_its_log(played: Played) -> None:
    handle = begun(played)
    played.server.advance("failed")
    done = played.runner.look(job_step(), KEY, handle, 1000.0)
    assert done.result is not None
    assert not done.result.ok
    assert played.server.word(played.server.jobs[0]) in done.result.error
    assert "PLAY RECAP" in done.result.output


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_job_that_is_stopped_is_cancelled_and_followed_to_its_end(
    played: Played, state: str
) -> None:
    handle, step = begun(played), job_step()
    played.server.advance(state)
    handle = played.runner.look(step, KEY, handle, 1000.0).handle
    done = played.runner.look(step, KEY, handle, 1000.0, "anna stopped it")
    assert played.server.jobs[0].cancelled
    assert done.result is not None
    assert "anna stopped it" in done.result.error


def test_a_job_that_does_not_end_is_cancelled_and_given_up_after_a_while() -> None:
    with playing("awx") as played:
        handle, step = begun(played), job_step()
        played.server.cancel = lambda job: None  # type: ignore[method-assign]
        played.server.advance("running")
        played.clock.sleep(61)
        seen = played.runner.look(step, KEY, handle, 1000.0)
        assert seen.result is None
        assert seen.handle.cancelled == "it did not end within 60 s"
        played.clock.sleep(CANCELLED_WITHIN_S)
        given_up = played.runner.look(step, KEY, seen.handle, 1000.0)
        assert given_up.result is not None
        assert "may still run" in given_up.result.error


def test_a_cancel_that_was_not_taken_is_sent_again(played: Played) -> None:
    handle, step = begun(played), job_step()
    played.server.advance("running")
    handle = played.runner.look(step, KEY, handle, 1000.0).handle
    played.server.failures.append("unavailable")
    seen = played.runner.look(step, KEY, handle, 1000.0, "anna stopped it")
    assert not played.server.jobs[0].cancelled
    assert "503 to the cancel" in seen.told
    done = played.runner.look(step, KEY, seen.handle, 1000.0, "anna stopped it")
    assert played.server.jobs[0].cancelled
    assert done.result is not None


def test_a_job_that_left_the_queue_while_it_was_told_to_end_there_is_told_by_its_id() -> None:
    with playing("jenkins") as played:
        handle = begun(played).model_copy(update={"cancelled": "anna stopped it"})
        played.server.advance("running")
        left = played.runner.look(job_step(), KEY, handle, 1000.0, "anna stopped it").handle
        assert left.id == "101"
        assert played.runner.look(job_step(), KEY, left, 1000.0, "anna stopped it").result
        assert played.server.jobs[0].cancelled


def test_a_job_that_ended_while_nobody_looked_is_not_taken_for_cancelled(played: Played) -> None:
    handle, step = begun(played), job_step()
    played.server.advance("running")
    handle = played.runner.look(step, KEY, handle, 1000.0).handle
    played.server.advance("succeeded")
    played.server.failures.append("forbidden")  # as AWS says of one that has ended
    played.clock.sleep(3600)
    done = played.runner.look(step, KEY, handle, 1000.0).result
    assert done is not None
    assert done.ok


def test_a_system_that_is_away_for_a_while_is_asked_again(played: Played) -> None:
    handle, step = begun(played), job_step()
    played.server.advance("succeeded")
    played.server.failures.append("unavailable")
    assert played.runner.look(step, KEY, handle, 1000.0).result is None
    done = played.runner.look(step, KEY, handle, 1000.0).result
    assert done is not None
    assert done.ok


def test_a_job_whose_start_was_not_answered_is_found_by_its_key() -> None:
    for system in (*BY_PARAMETER, "stackstorm"):
        with playing(system) as played:
            first = begun(played)
            played.server.advance("running")
            found = played.runner.found(job_step(), KEY)
            assert found is not None
            assert found.id == (first.id or first.ticket)
            assert played.runner.found(job_step(), KEY[:-1] + "1") is None


def test_where_the_system_knows_the_start_again_a_second_one_is_the_same() -> None:
    for system in ("aws-ssm", "aliyun-oos"):
        with playing(system) as played:
            assert played.runner.again(job_step())
            assert begun(played) == begun(played)
            assert len(played.server.jobs) == 1


UNANSWERED: dict[str, tuple[str, tuple[ServerFailure, ...], str]] = {
    "the connection ends": ("gitlab", ("hung up",), "RemoteProtocolError"),
    "a gateway's error": ("gitlab", ("unavailable",), "answered 503"),
    "nor is it found": ("rundeck", ("hung up", "broken"), "looked for by its key, and http"),
}


@pytest.mark.parametrize(("system", "failures", "said"), UNANSWERED.values(), ids=UNANSWERED)
def test_a_start_that_is_not_answered_says_that_it_may_have_started(
    system: str, failures: tuple[ServerFailure, ...], said: str
) -> None:
    with playing(system) as played:
        played.server.failures.extend(failures)
        result = played.runner.run(job_step(), KEY)
        assert said in result.error
        assert "it may have been started: look there" in result.error
        assert not played.runner.again(job_step())


def test_a_start_that_a_gateway_did_not_wait_for_is_found_by_its_key() -> None:
    with playing("rundeck") as played:
        first = begun(played)
        played.server.failures.append("unavailable")
        assert begun(played) == first
        assert len(played.server.jobs) == 1


@pytest.mark.parametrize("system", LED)
def test_a_database_is_led_by_another_member_and_seen_to_be(system: str) -> None:
    with serving(JobServer(system)) as server:
        base = HttpBase(url=server.url, token_env="T", token_as="basic")
        reader = SecretReader(Path("runners.toml"), {"T": f"ops:{JOB_TOKEN}"})
        name = JobParameter(type="name")
        target = JobTarget(
            system=system,
            base="it",
            of=LED[system],
            parameters={"leader": name, "candidate": name},
        )
        caller = HttpCaller({"it": reader.base("it", base)})
        runner = JobRunner({"restart-web": target}, caller, MovedClock())
        step = job_step(host=None, leader="db-1", candidate="db-2")
        assert runner.rehearse(step).refused == ""
        assert "412" in runner.run(job_step(host=None, leader="db-1", candidate="db-3"), KEY).error
        handle = JobHandle.model_validate_json(runner.run(step, KEY).output)
        assert runner.look(step, KEY, handle, 1000.0).result is None
        server.advance("succeeded")
        done = runner.look(step, KEY, handle, 1000.0).result
        assert done is not None
        assert done.ok
        assert "db-2" in done.output


REFUSED = {
    "a parameter it does not declare": ({"branch": "main"}, "declares no parameter 'branch'"),
    "two words": ({"host": "web-1 web-2"}, "parameter 'host'"),
    "a command": ({"host": "web;reboot"}, "parameter 'host'"),
    "a template": ({"host": "{{ lookup('pipe','id') }}"}, "parameter 'host'"),
    "a way up": ({"host": ".."}, "parameter 'host'"),
    "a number": ({"host": 1}, "parameter 'host'"),
}


@pytest.mark.parametrize(("given", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_hostile_value_starts_nothing(given: dict[str, object], said: str) -> None:
    with playing("awx") as played:
        result = played.runner.run(job_step(**given), KEY)
        assert said in result.error
        assert not played.server.asked


def test_a_rehearsal_asks_for_the_job_and_starts_nothing(played: Played) -> None:
    found = played.runner.rehearse(job_step())
    assert found.refused == ""
    assert "is there; not started with host web-1" in found.seen
    assert not played.server.jobs


def test_a_template_that_would_ignore_its_variables_is_not_started() -> None:
    with playing("awx") as played:
        played.server.declared = ()
        assert "would ignore its parameters" in played.runner.rehearse(job_step()).refused
        assert "would ignore its parameters" in played.runner.run(job_step(), KEY).error
        assert not played.server.jobs


def test_a_wrong_token_is_refused_and_not_shown(played: Played) -> None:
    with playing(played.server.system, token="another-4712") as other:
        assert "401" in other.runner.rehearse(job_step()).refused
        result = other.runner.run(job_step(), KEY)
        assert not result.ok
        assert "another-4712" not in result.model_dump_json()
        assert not other.server.jobs


HOSTILE_ANSWERS: dict[str, Callable[[], object]] = {
    "a way to another address": lambda: {"id": "../../tokens"},
    "no id": lambda: {},
    "an object": lambda: {"id": {"a": 1}},
}


@pytest.mark.parametrize("answer", HOSTILE_ANSWERS.values(), ids=HOSTILE_ANSWERS.keys())
def test_an_id_that_is_none_is_never_put_into_an_address(answer: Callable[[], object]) -> None:
    with playing("rundeck") as played:
        played.server.reply = lambda asked: HttpReply(200, answer())  # type: ignore[method-assign]
        result = played.runner.run(job_step(), KEY)
        assert "look there" in result.error


# --- written down before it is awaited


def watched(played: Played, store: Store, told: list[str]) -> JobWatch:
    """The watch of a step that the outbox has as begun."""
    store.outbox.begin(KEY, "step", {"plan": "p"}, played.clock.now())
    return JobWatch(store, played.clock, played.runner, job_step(), KEY, told.append)


def row(store: Store) -> OutboxEntry:
    found = store.outbox.get(KEY)
    assert found is not None
    return found


def test_its_id_is_written_before_it_is_awaited_and_its_progress_is_told_once(
    store: Store,
) -> None:
    told: list[str] = []
    with playing("jenkins") as played:
        watch = watched(played, store, told)
        assert watch.started(played.runner.run(job_step(), KEY)) is None
        assert row(store).payload["job"] == {"id": "", "ticket": "101", "cancelled": ""}
        for state in ("queued", "queued", "running", "running", "succeeded"):
            played.server.advance(state)
            ended = watch.look(row(store))
        assert ended is not None
        assert ended.ok
        assert row(store).payload["job"] == {"id": "101", "ticket": "101", "cancelled": ""}
        assert told == [
            "job 101: started",
            "job 101: Jenkins job: queued",
            "job 101: Jenkins job 101: BUILDING",
            "job 101: Jenkins job 101: SUCCESS",
        ]
        assert store.outbox.begin(KEY, "step", {"plan": "p"}, 1.0) is None
        with pytest.raises(StoreError, match="something else"):
            store.outbox.begin(KEY, "step", {"plan": "q"}, 1.0)


def test_a_process_that_died_after_the_start_finds_the_job_and_does_not_start_it(
    store: Store,
) -> None:
    with playing("awx") as played:
        played.runner.run(job_step(), KEY)
        watch = watched(played, store, [])
        assert watch.known(row(store))
        assert not watch.may_start_again()
        played.server.advance("succeeded")
        ended = watch.look(row(store))
        assert ended is not None
        assert ended.ok
    with playing("gitlab") as played:
        assert not watched(played, store, []).may_start_again()


def test_the_emergency_stop_cancels_what_runs(store: Store) -> None:
    with playing("rundeck") as played:
        watch = watched(played, store, [])
        assert watch.started(played.runner.run(job_step(), KEY)) is None
        store.halt.set(HaltRecord(by="anna", reason="wrong host", at=1.0))
        ended = watch.look(row(store))
        assert played.server.jobs[0].cancelled
        assert ended is not None
        assert "'anna' stopped all executions: wrong host" in ended.error


# --- the runners file

OWN = """
[http.awx]
url = "https://awx.internal"
token_env = "T"

[job.restart-web]
system = "awx"
base = "awx"
of.template = "7"
parameters.host = {type = "name"}
"""
WRONG = {
    "a system nobody knows": (
        ('"awx"\nbase', '"tower"\nbase'),
        "'tower' is no system; there are al",
    ),
    "which job is left out": (("of.template", "of.job"), "`of` needs template for awx"),
    "a part with a way up": (('"7"', '"../7"'), "is no plain part of an address"),
    "a text without a pattern": (('"name"', '"text"'), "a text needs allowed values"),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_declaration_is_said_with_its_key(
    change: tuple[str, str], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "runners.toml"
    path.write_text(OWN.replace(*change), encoding="utf-8")
    with pytest.raises(RunnersFileError, match=r"job\.restart-web") as refused:
        read_runners(path)
    assert said in str(refused.value)


def test_what_is_approved_names_the_system_the_job_and_the_address(tmp_path: Path) -> None:
    path = tmp_path / "runners.toml"
    path.write_text(OWN, encoding="utf-8")
    said = meaning(read_runners(path), job_step())
    assert said == "AWX job template: template 7 at https://awx.internal"


def test_an_own_system_is_read_from_its_file(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(
        json.dumps(
            {
                "title": {"en": "Own", "zh": "自有"},
                "of": ["name"],
                "token_as": "bearer",
                "every_s": 2,
                "probe": {"call": "GET /jobs/${name}"},
                "start": {"call": "POST /jobs/${name}", "body": "${parameters}", "id": "id"},
                "status": {
                    "call": "GET /runs/${id}",
                    "state": "state",
                    "running": ["runs"],
                    "succeeded": ["done"],
                    "failed": ["broke"],
                },
                "cancel": {"call": "DELETE /runs/${id}"},
            }
        ),
        encoding="utf-8",
    )
    assert job_system(str(own)).status.meaning("done") == "succeeded"
    target = JobTarget(system=str(own), base="it", of={"name": "restart"})
    before = target.meaning(job_step())
    job_system.cache_clear()
    own.write_text(own.read_text("utf-8").replace("POST /jobs", "POST /all-jobs"), "utf-8")
    assert target.meaning(job_step()) != before
    own.write_text(own.read_text("utf-8").replace("POST /all-jobs", "POST /jobs"), "utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(own.read_text("utf-8").replace("${name}", "${who}"), encoding="utf-8")
    with pytest.raises(ValueError, match="stands for nothing"):
        job_system(str(wrong))
