"""A server that plays the jobs of each system people own, strictly: one table of requests a system.

A job waits in the queue, runs and ends as the test says (`advance`). Sources: those of the
declarations in `knowledge_base/jobs`. What a system does not know it refuses; a parameter that the
job does not declare is refused (GitHub, StackStorm) or dropped (AWX, Jenkins, Rundeck), as there.
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
    routes: tuple[tuple[str, str, Callable[["JobServer", ReceivedRequest], HttpReply]], ...]


class JobServer(StrictServer):
    """One of the systems. `jobs` holds what was started; `restart-web` takes `host` and the key."""

    def __init__(self, system: str) -> None:
        super().__init__()
        self.system, self.name = system, system
        self.played = PLAYED[system]
        self.jobs: list[PlayedJob] = []
        self.declared = ("host", "count", KEY_NAME)
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

    def known(self, given: Mapping[str, object]) -> dict[str, object]:
        """The parameters that the job declares; the others are dropped."""
        return {name: value for name, value in given.items() if name in self.declared}

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
    found = json.loads(asked.body or b"{}")
    assert isinstance(found, dict)
    return found


def _mapping(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


# --- AWX


def _awx_job(server: JobServer, job: PlayedJob) -> dict[str, object]:
    told = {"id": int(job.id), "status": server.word(job), "job_explanation": ""}
    return {**told, "extra_vars": json.dumps(job.parameters)}


def _awx_launch(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    job = server.begin(server.known(_mapping(_json(asked).get("extra_vars"))))
    return HttpReply(201, {**_awx_job(server, job), "job": int(job.id), "ignored_fields": {}})


def _awx_list(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    found = [_awx_job(server, job) for job in reversed(server.jobs)]
    return HttpReply(200, {"count": len(found), "results": found})


def _awx_cancel(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    job = server.job(asked)
    if job.state not in ("queued", "running"):
        return HttpReply(405, {"detail": 'Method "POST" not allowed.'})
    server.cancel(job)
    return HttpReply(202, b"")


def _log(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    return HttpReply(200, "\n".join(server.job(asked).lines).encode())


# --- Rundeck


def _rundeck_job(server: JobServer, job: PlayedJob) -> dict[str, object]:
    line = " ".join(f"-{name} {value}" for name, value in job.parameters.items())
    return {"id": int(job.id), "status": server.word(job), "argstring": line}


def _rundeck_run(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    given = server.known(_mapping(_json(asked).get("options")))
    return HttpReply(200, _rundeck_job(server, server.begin(given)))


def _rundeck_list(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    found = [_rundeck_job(server, job) for job in server.jobs]
    return HttpReply(200, {"paging": {"count": len(found)}, "executions": found})


def _rundeck_log(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    return HttpReply(200, {"entries": [{"log": line} for line in server.job(asked).lines]})


def _rundeck_abort(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    server.cancel(server.job(asked))
    return HttpReply(200, {"abort": {"status": "pending"}, "execution": {"status": "running"}})


# --- Jenkins: a place in the queue first, and a build once it runs


def _jenkins_build(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    given = {name: asked.one(name) for name in server.declared if asked.one(name)}
    job = server.begin(given)
    place = f"{server.url}/queue/item/{job.id}/"
    return HttpReply(201, b"", {"Location": place})


def _jenkins_queue(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    job = server.job(asked)
    if job.cancelled:
        return HttpReply(200, {"id": int(job.id), "cancelled": True})
    waits = job.state == "queued"
    number = None if waits else {"number": int(job.id), "url": f"{server.url}/job/x/{job.id}/"}
    return HttpReply(200, {"id": int(job.id), "cancelled": False, "executable": number})


def _jenkins_state(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    job = server.job(asked)
    result = None if job.state == "running" else server.word(job)
    return HttpReply(200, {"building": job.state == "running", "result": result})


def _jenkins_list(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    builds = [
        {
            "number": int(job.id),
            "actions": [
                {},
                {"parameters": [{"name": n, "value": v} for n, v in job.parameters.items()]},
            ],
        }
        for job in server.jobs
        if job.state != "queued"
    ]
    return HttpReply(200, {"name": "restart", "buildable": True, "builds": builds})


def _cancelled(status: int, document: object) -> Callable[[JobServer, ReceivedRequest], HttpReply]:
    def answer(server: JobServer, asked: ReceivedRequest) -> HttpReply:
        server.cancel(server.job(asked))
        return HttpReply(status, document)

    return answer


# --- GitHub, GitLab


def _github_dispatch(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    given = _json(asked)
    inputs = _mapping(given.get("inputs"))
    if set(inputs) - set(server.declared) or not all(isinstance(v, str) for v in inputs.values()):
        return HttpReply(422, {"message": f"Unexpected inputs provided: {sorted(inputs)}"})
    job = server.begin(inputs)
    if not given.get("return_run_details"):
        return HttpReply(204, b"")
    return HttpReply(200, {"workflow_run_id": int(job.id), "run_url": f"{server.url}/x"})


def _github_run(server: JobServer, job: PlayedJob) -> dict[str, object]:
    over = job.state not in ("queued", "running")
    status = "completed" if over else "in_progress" if job.state == "running" else "queued"
    shown = f"restart {job.parameters.get(KEY_NAME, '')}"
    conclusion = server.word(job) if over else None
    return {"id": int(job.id), "status": status, "conclusion": conclusion, "display_title": shown}


def _github_list(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    return HttpReply(200, {"workflow_runs": [_github_run(server, job) for job in server.jobs]})


def _github_jobs(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    run = _github_run(server, server.job(asked))
    return HttpReply(200, {"jobs": [{**run, "name": line} for line in server.job(asked).lines]})


def _gitlab_start(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    given = _json(asked).get("variables")
    assert isinstance(given, list)
    job = server.begin({one["key"]: one["value"] for one in given})
    return HttpReply(201, {"id": int(job.id), "status": "created"})


def _gitlab_jobs(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    job = server.job(asked)
    found = [{"stage": "run", "name": line, "status": server.word(job)} for line in job.lines]
    return HttpReply(200, found)


# --- StackStorm, and the two clouds behind something that signs


def _st2_start(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    given = _json(asked)
    parameters = _mapping(given.get("parameters"))
    if set(parameters) - set(server.declared):
        return HttpReply(400, {"faultstring": "Additional properties are not allowed"})
    trace = _mapping(_mapping(given.get("context")).get("trace_context"))
    job = server.begin(parameters, str(trace.get("trace_tag", "")))
    return HttpReply(201, {"id": job.id, "status": "requested"})


def _st2_list(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    tag = asked.one("trace_tag")
    return HttpReply(200, [{"id": job.id} for job in server.jobs if job.tag == tag])


def _state(**more: object) -> Callable[[JobServer, ReceivedRequest], HttpReply]:
    def answer(server: JobServer, asked: ReceivedRequest) -> HttpReply:
        job = server.job(asked)
        return HttpReply(200, {"id": job.id, "status": server.word(job), **more})

    return answer


def _ssm_start(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    given = _json(asked)
    if not re.fullmatch(r"[0-9a-f-]{36}", str(given.get("ClientToken"))):
        return HttpReply(400, {"__type": "ValidationException"})
    named = _mapping(given["Parameters"])
    if not all(isinstance(value, list) for value in named.values()):
        return HttpReply(400, {"__type": "InvalidParameters"})
    job = server.begin(
        {n: v[0] for n, v in named.items() if isinstance(v, list)},
        str(given["ClientToken"]),
        once=True,
    )
    return HttpReply(200, {"AutomationExecutionId": job.id})


def _ssm_state(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    word = server.word(server.job(asked))
    return HttpReply(200, {"AutomationExecution": {"AutomationExecutionStatus": word}})


def _ssm_steps(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    job = server.job(asked)
    steps = [{"StepName": line, "StepStatus": server.word(job)} for line in job.lines]
    return HttpReply(200, {"StepExecutions": steps})


def _oos_start(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    given = json.loads(asked.one("Parameters"))
    job = server.begin(given, asked.one("ClientToken"), once=True)
    return HttpReply(200, {"Execution": {"ExecutionId": f"exec-{job.id}", "Status": "Started"}})


def _oos_list(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    return HttpReply(200, {"Executions": [{"Status": server.word(server.job(asked))}]})


def _oos_tasks(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    job = server.job(asked)
    tasks = [{"TaskName": line, "Status": server.word(job)} for line in job.lines]
    return HttpReply(200, {"TaskExecutions": tasks})


def _there(server: JobServer, asked: ReceivedRequest) -> HttpReply:
    return HttpReply(200, {"name": "restart"})


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
            ("POST", f"{_AWX}/job_templates/7/launch/", _awx_launch),
            ("GET", f"{_AWX}/job_templates/7/jobs/", _awx_list),
            ("GET", rf"{_AWX}/jobs/\d+/", _state(job_explanation="")),
            ("GET", rf"{_AWX}/jobs/\d+/stdout/", _log),
            ("POST", rf"{_AWX}/jobs/\d+/cancel/", _awx_cancel),
        ),
    ),
    "rundeck": PlayedSystem(
        ("X-Rundeck-Auth-Token", JOB_TOKEN),
        _states("queued", "running", "succeeded", "failed", "aborted"),
        (
            ("GET", f"{_RD}/job/7/info", _there),
            ("POST", f"{_RD}/job/7/run", _rundeck_run),
            ("GET", f"{_RD}/job/7/executions", _rundeck_list),
            ("GET", rf"{_RD}/execution/\d+", _state()),
            ("GET", rf"{_RD}/execution/\d+/output", _rundeck_log),
            ("POST", rf"{_RD}/execution/\d+/abort", _rundeck_abort),
        ),
    ),
    "jenkins": PlayedSystem(
        _BASIC,
        _states("", "", "SUCCESS", "FAILURE", "ABORTED"),
        (
            ("GET", "/job/ops/job/restart/api/json", _jenkins_list),
            ("POST", "/job/ops/job/restart/buildWithParameters", _jenkins_build),
            ("GET", r"/queue/item/\d+/api/json", _jenkins_queue),
            ("POST", "/queue/cancelItem", _cancelled(204, b"")),
            ("GET", r"/job/ops/job/restart/\d+/api/json", _jenkins_state),
            ("GET", r"/job/ops/job/restart/\d+/consoleText", _log),
            ("POST", r"/job/ops/job/restart/\d+/stop", _cancelled(302, b"")),
        ),
    ),
    "github-actions": PlayedSystem(
        _BEARER,
        _states("queued", "in_progress", "success", "failure", "cancelled"),
        (
            ("GET", f"{_GH}/workflows/restart.yml", _there),
            ("POST", f"{_GH}/workflows/restart.yml/dispatches", _github_dispatch),
            ("GET", f"{_GH}/workflows/restart.yml/runs", _github_list),
            ("GET", rf"{_GH}/runs/\d+", lambda s, a: HttpReply(200, _github_run(s, s.job(a)))),
            ("GET", rf"{_GH}/runs/\d+/jobs", _github_jobs),
            ("POST", rf"{_GH}/runs/\d+/cancel", _cancelled(202, {})),
        ),
    ),
    "gitlab": PlayedSystem(
        _BEARER,
        _states("pending", "running", "success", "failed", "canceled"),
        (
            ("GET", _GL, _there),
            ("POST", f"{_GL}/pipeline", _gitlab_start),
            ("GET", rf"{_GL}/pipelines/\d+", _state()),
            ("GET", rf"{_GL}/pipelines/\d+/jobs", _gitlab_jobs),
            ("POST", rf"{_GL}/pipelines/\d+/cancel", _cancelled(200, {})),
        ),
    ),
    "stackstorm": PlayedSystem(
        ("St2-Api-Key", JOB_TOKEN),
        _states("requested", "running", "succeeded", "failed", "canceled"),
        (
            ("GET", rf"{_ST2}/actions/ops\.restart", _there),
            ("POST", f"{_ST2}/executions", _st2_start),
            ("GET", f"{_ST2}/executions", _st2_list),
            ("GET", rf"{_ST2}/executions/\d+", _state(result={})),
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
            ("POST", f"{_SSM}GetAutomationExecution", _ssm_state),
            ("POST", f"{_SSM}DescribeAutomationStepExecutions", _ssm_steps),
            ("POST", f"{_SSM}StopAutomationExecution", _cancelled(200, {})),
        ),
    ),
    "aliyun-oos": PlayedSystem(
        _BEARER,
        _states("Queued", "Running", "Success", "Failed", "Cancelled"),
        (
            ("POST", "/GetTemplate", _there),
            ("POST", "/StartExecution", _oos_start),
            ("POST", "/ListExecutions", _oos_list),
            ("POST", "/ListTaskExecutions", _oos_tasks),
            ("POST", "/CancelExecution", _cancelled(200, {})),
        ),
    ),
}
