"""A server that plays the jobs of each system people own, strictly: one table of requests a system.

A job waits in the queue, runs and ends as the test says (`advance`). Sources: those of the
declarations in `knowledge_base/jobs`. What a system does not know it refuses; a parameter that the
job does not declare is refused (GitHub, StackStorm) or dropped (Jenkins), as there.
"""

import base64
import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer

JOB_TOKEN = "job-token-4711"
KEY_NAME = "copilot_key"
_UUID = re.compile(r"[0-9a-f-]{36}")


@dataclass
class PlayedJob:
    """One job: what it was started with, and how far it is."""

    id: str
    parameters: dict[str, object]
    state: str = "queued"
    tag: str = ""
    cancelled: bool = False
    lines: list[str] = field(default_factory=lambda: ["began", "PLAY RECAP"])


class PlayedSystem(NamedTuple):
    """How a system shows a token, and what it answers to which request."""

    token: tuple[str, str]
    states: Mapping[str, str]
    routes: tuple[tuple[str, str, "RouteAnswer"], ...]


RouteAnswer = Callable[["JobServer", ReceivedRequest], HttpReply]


class JobServer(StrictServer):
    """One of the systems. `jobs` holds what was started; `restart-web` takes `host` and the key."""

    def __init__(self, system: str) -> None:
        super().__init__()
        self.system, self.name = system, system
        self.played = PLAYED[system]
        self.jobs: list[PlayedJob] = []
        self.declared: tuple[str, ...] = ("host", "count", KEY_NAME)
        self._ids = itertools.count(101)

    def advance(self, state: str) -> None:
        """Every job that has not ended is `running`, `succeeded` or `failed` from now on."""
        for job in self.jobs:
            if job.state in ("queued", "running"):
                job.state = state

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        name, value = self.played.token
        if asked.headers.get(name.lower()) != value:
            return HttpReply(401, {"message": "no valid token", "sent": dict(asked.headers)})
        for method, pattern, answer in self.played.routes:
            if asked.method == method and re.fullmatch(pattern, _target(asked)):
                return answer(self, asked)
        return HttpReply(404, {"message": f"{asked.method} {_target(asked)} is not known here"})

    def begin(self, given: Mapping[str, object], tag: str = "", once: bool = False) -> PlayedJob:
        """A new job; with `once` the one that was started with this tag, if there is one."""
        for job in self.jobs:
            if once and job.tag == tag:
                return job
        job = PlayedJob(str(next(self._ids)), dict(given), tag=tag)
        self.jobs.append(job)
        return job

    def job(self, asked: ReceivedRequest) -> PlayedJob:
        """The job whose id stands in the request."""
        text = f"{_target(asked)} {asked.body.decode()} {asked.query}"
        return next(job for job in self.jobs if re.search(rf"\b{job.id}\b", text))

    def word(self, job: PlayedJob) -> str:
        """How the system calls its state."""
        return self.played.states["cancelled" if job.cancelled else job.state]

    def cancel(self, job: PlayedJob) -> None:
        """End it, as a failure."""
        if job.state in ("queued", "running"):
            job.state, job.cancelled = "failed", True


def _target(asked: ReceivedRequest) -> str:
    """What a request is for: its path, and where all have one path the action it names."""
    action = asked.headers.get("x-amz-target", "") or asked.one("Action")
    return f"{asked.path}{action}"


def _json(asked: ReceivedRequest) -> dict[str, object]:
    return _mapping(json.loads(asked.body or b"{}"))


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _begun(asked: ReceivedRequest, name: str) -> dict[str, object]:
    return _mapping(_json(asked).get(name))


def _jenkins_start(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    job = server.begin({name: asked.one(name) for name in server.declared if asked.one(name)})
    return HttpReply(201, b"", {"Location": f"{server.url}/queue/item/{job.id}/"})


def _jenkins_queue(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    job = server.job(asked)
    number = None if job.state == "queued" or job.cancelled else {"number": int(job.id)}
    return HttpReply(200, {"cancelled": job.cancelled, "executable": number})


def _jenkins_job(server: JobServer, job: PlayedJob) -> dict[str, object]:
    runs = job.state == "running"
    given = [{"name": name, "value": value} for name, value in job.parameters.items()]
    result = None if runs else server.word(job)
    told = {"number": int(job.id), "building": runs, "result": result}
    return {**told, "actions": [{}, {"parameters": given}]}


def _github_start(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    inputs = _begun(asked, "inputs")
    if set(inputs) - set(server.declared) or not all(isinstance(v, str) for v in inputs.values()):
        return HttpReply(422, {"message": f"Unexpected inputs provided: {sorted(inputs)}"})
    job = server.begin(inputs)
    told = _json(asked).get("return_run_details")
    return HttpReply(200, {"workflow_run_id": int(job.id)}) if told else HttpReply(204, b"")


def _github_run(server: JobServer, job: PlayedJob) -> dict[str, object]:
    over = job.state not in ("queued", "running")
    word = server.word(job)
    shown = f"restart {job.parameters.get(KEY_NAME, '')}"
    told = {"status": "completed" if over else word, "conclusion": word if over else None}
    return {**told, "id": int(job.id), "display_title": shown}


def _gitlab_start(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    given = json.loads(asked.body)["variables"]
    job = server.begin({one["key"]: one["value"] for one in given})
    return HttpReply(201, {"id": int(job.id), "status": "created"})


def _st2_start(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    given, trace = _begun(asked, "parameters"), _begun(asked, "context").get("trace_context")
    if set(given) - set(server.declared):
        return HttpReply(400, {"faultstring": "Additional properties are not allowed"})
    job = server.begin(given, str(_mapping(trace).get("trace_tag", "")))
    return HttpReply(201, {"id": job.id, "status": "requested"})


def _ssm_start(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    token, named = str(_json(asked).get("ClientToken")), _begun(asked, "Parameters")
    if not _UUID.fullmatch(token) or not all(isinstance(v, list) for v in named.values()):
        return HttpReply(400, {"__type": "ValidationException"})
    job = server.begin({n: v[0] for n, v in named.items() if isinstance(v, list)}, token, once=True)
    return HttpReply(200, {"AutomationExecutionId": job.id})


def _oos_start(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    given, token = json.loads(asked.one("Parameters")), asked.one("ClientToken")
    job = server.begin(given, token, once=True)
    return HttpReply(200, {"Execution": {"ExecutionId": f"exec-{job.id}", "Status": "Started"}})


def _takeover(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    given = _json(asked) or {"leader": "db-1", "candidate": asked.path.split("/")[-2]}
    if given != {"leader": "db-1", "candidate": "db-2"}:
        return HttpReply(412, b"leader name does not match")
    server.begin(given).id = "db-2"
    return HttpReply(200, b'Successfully switched over to "db-2"')


def _led(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    """Show the members as Patroni does, and the master or all of them as Orchestrator does."""
    lead = "db-2" if server.jobs and server.jobs[0].state == "succeeded" else "db-1"
    roles = {one: "leader" if one == lead else "replica" for one in ("db-1", "db-2")}
    members = [{"name": one, "role": role, "state": "running"} for one, role in roles.items()]
    master = {"Key": {"Hostname": lead, "Port": 3306}, "ReadOnly": False}
    told = [master] if "/cluster/" in asked.path else {**master, "members": members}
    return HttpReply(200, told)


def _there(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    return HttpReply(200, {"name": "restart", "ask_variables_on_launch": bool(server.declared)})


def _log(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    return HttpReply(200, "\n".join(server.job(asked).lines).encode())


JobShape = Callable[[JobServer, PlayedJob], dict[str, object]]


def _shown(shape: JobShape) -> RouteAnswer:
    """Show the job that the request names."""
    return lambda server, asked: HttpReply(200, shape(server, server.job(asked)))


def _listed(name: str, shape: JobShape, queued: bool = True) -> RouteAnswer:
    """List what was started, the newest first; Jenkins lists no build that still waits."""
    return lambda server, asked: HttpReply(
        200,
        {name: [shape(server, j) for j in server.jobs[::-1] if queued or j.state != "queued"]},
    )


def _state(server: JobServer, job: PlayedJob) -> dict[str, object]:
    """AWX shows what a job was started with as JSON, Rundeck as the arguments of a program."""
    line = " ".join(f"-{name} {value}" for name, value in job.parameters.items())
    started = {"extra_vars": json.dumps(job.parameters), "argstring": line}
    return {"id": int(job.id), "status": server.word(job), "result": {}, **started}


def _lines(within: str, name: str, state: str) -> RouteAnswer:
    """Show the steps of a job, each with its state; `within` is where the list stands."""

    def answer(server: JobServer, asked: ReceivedRequest) -> HttpReply:
        job = server.job(asked)
        found = [{name: line, state: server.word(job), "stage": "run"} for line in job.lines]
        return HttpReply(200, {within: found} if within else found)

    return answer


def _cancelled(status: int, document: object) -> RouteAnswer:
    def answer(server: JobServer, asked: ReceivedRequest) -> HttpReply:
        server.cancel(server.job(asked))
        return HttpReply(status, document)

    return answer


def _states(queued: str, running: str, ok: str, failed: str, ended: str = "") -> dict[str, str]:
    names = ("queued", "running", "succeeded", "failed", "cancelled")
    return dict(zip(names, (queued, running, ok, failed, ended or failed), strict=True))


_BEARER = ("Authorization", f"Bearer {JOB_TOKEN}")
_BASIC = ("Authorization", "Basic " + base64.b64encode(f"ops:{JOB_TOKEN}".encode()).decode())
_AWX, _RD, _GH = "/api/v2", "/api/41", "/repos/shop/ops/actions"
_GL, _ST2, _SSM = "/api/v4/projects/shop(%2F|/)ops", "/api/v1", "/AmazonSSM."

PLAYED: Mapping[str, PlayedSystem] = {
    "awx": PlayedSystem(
        _BEARER,
        _states("pending", "running", "successful", "failed", "canceled"),
        (
            ("GET", f"{_AWX}/job_templates/7/", _there),
            (
                "POST",
                f"{_AWX}/job_templates/7/launch/",
                lambda s, a: HttpReply(201, _state(s, s.begin(_begun(a, "extra_vars")))),
            ),
            ("GET", f"{_AWX}/job_templates/7/jobs/", _listed("results", _state)),
            ("GET", rf"{_AWX}/jobs/\d+/", _shown(_state)),
            ("GET", rf"{_AWX}/jobs/\d+/stdout/", _log),
            ("POST", rf"{_AWX}/jobs/\d+/cancel/", _cancelled(202, b"")),
        ),
    ),
    "rundeck": PlayedSystem(
        ("X-Rundeck-Auth-Token", JOB_TOKEN),
        _states("queued", "running", "succeeded", "failed", "aborted"),
        (
            ("GET", f"{_RD}/job/7/info", _there),
            (
                "POST",
                f"{_RD}/job/7/run",
                lambda s, a: HttpReply(200, _state(s, s.begin(_begun(a, "options")))),
            ),
            ("GET", f"{_RD}/job/7/executions", _listed("executions", _state)),
            ("GET", rf"{_RD}/execution/\d+", _shown(_state)),
            ("GET", rf"{_RD}/execution/\d+/output", _lines("entries", "log", "level")),
            (
                "POST",
                rf"{_RD}/execution/\d+/abort",
                _cancelled(200, {"abort": {"status": "pending"}}),
            ),
        ),
    ),
    "jenkins": PlayedSystem(
        _BASIC,
        _states("", "", "SUCCESS", "FAILURE", "ABORTED"),
        (
            ("GET", "/job/ops/job/restart/api/json", _listed("builds", _jenkins_job, queued=False)),
            ("POST", "/job/ops/job/restart/buildWithParameters", _jenkins_start),
            ("GET", r"/queue/item/\d+/api/json", _jenkins_queue),
            ("POST", "/queue/cancelItem", _cancelled(204, b"")),
            ("GET", r"/job/ops/job/restart/\d+/api/json", _shown(_jenkins_job)),
            ("GET", r"/job/ops/job/restart/\d+/consoleText", _log),
            ("POST", r"/job/ops/job/restart/\d+/stop", _cancelled(302, b"")),
        ),
    ),
    "github-actions": PlayedSystem(
        _BEARER,
        _states("queued", "in_progress", "success", "failure", "cancelled"),
        (
            ("GET", f"{_GH}/workflows/restart.yml", _there),
            ("POST", f"{_GH}/workflows/restart.yml/dispatches", _github_start),
            ("GET", f"{_GH}/workflows/restart.yml/runs", _listed("workflow_runs", _github_run)),
            ("GET", rf"{_GH}/runs/\d+", _shown(_github_run)),
            ("GET", rf"{_GH}/runs/\d+/jobs", _lines("jobs", "name", "status")),
            ("POST", rf"{_GH}/runs/\d+/cancel", _cancelled(202, {})),
        ),
    ),
    "gitlab": PlayedSystem(
        _BEARER,
        _states("pending", "running", "success", "failed", "canceled"),
        (
            ("GET", _GL, _there),
            ("POST", f"{_GL}/pipeline", _gitlab_start),
            ("GET", rf"{_GL}/pipelines/\d+", _shown(_state)),
            ("GET", rf"{_GL}/pipelines/\d+/jobs", _lines("", "name", "status")),
            ("POST", rf"{_GL}/pipelines/\d+/cancel", _cancelled(200, {})),
        ),
    ),
    "stackstorm": PlayedSystem(
        ("St2-Api-Key", JOB_TOKEN),
        _states("requested", "running", "succeeded", "failed", "canceled"),
        (
            ("GET", rf"{_ST2}/actions/ops\.restart", _there),
            ("POST", f"{_ST2}/executions", _st2_start),
            (
                "GET",
                f"{_ST2}/executions",
                lambda s, a: HttpReply(
                    200, [{"id": j.id} for j in s.jobs if j.tag == a.one("trace_tag")]
                ),
            ),
            ("GET", rf"{_ST2}/executions/\d+", _shown(_state)),
            ("GET", rf"{_ST2}/executions/\d+/output", _log),
            ("DELETE", rf"{_ST2}/executions/\d+", _cancelled(200, {})),
        ),
    ),
    "aws-ssm": PlayedSystem(
        _BEARER,
        _states("Pending", "InProgress", "Success", "Failed", "Cancelled"),
        (
            ("POST", f"{_SSM}DescribeDocument", _there),
            ("POST", f"{_SSM}StartAutomationExecution", _ssm_start),
            (
                "POST",
                f"{_SSM}GetAutomationExecution",
                _shown(
                    lambda s, j: {"AutomationExecution": {"AutomationExecutionStatus": s.word(j)}}
                ),
            ),
            (
                "POST",
                f"{_SSM}DescribeAutomationStepExecutions",
                _lines("StepExecutions", "StepName", "StepStatus"),
            ),
            ("POST", f"{_SSM}StopAutomationExecution", _cancelled(200, {})),
        ),
    ),
    "patroni": PlayedSystem(
        _BASIC,
        _states("", "", "", ""),
        (
            ("GET", "/cluster", _led),
            ("POST", "/switchover", _takeover),
            ("DELETE", "/switchover", _cancelled(404, b"")),
        ),
    ),
    "orchestrator": PlayedSystem(
        _BASIC,
        _states("", "", "", ""),
        (
            ("GET", "/api/(master|cluster)/shop", _led),
            ("GET", r"/api/graceful-master-takeover/shop/db-\d/3306", _takeover),
        ),
    ),
    "aliyun-oos": PlayedSystem(
        _BEARER,
        _states("Queued", "Running", "Success", "Failed", "Cancelled"),
        (
            ("POST", "/GetTemplate", _there),
            ("POST", "/StartExecution", _oos_start),
            (
                "POST",
                "/ListExecutions",
                _shown(lambda s, j: {"Executions": [{"Status": s.word(j)}]}),
            ),
            ("POST", "/ListTaskExecutions", _lines("TaskExecutions", "TaskName", "Status")),
            ("POST", "/CancelExecution", _cancelled(200, {})),
        ),
    ),
}
