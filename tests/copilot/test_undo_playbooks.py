"""What was rolled out is taken back by a merge request or by Helm, and both can be undone."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from copilot.hands import CommandRunner, HttpRunner
from copilot.hands.credentials import HttpBase, SecretReader
from copilot.hands.http import HttpCaller
from copilot.ports import Runner
from copilot.sources.clock import SystemClock
from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer, serving
from knowledge_base import playbooks
from tools.playbook_executor import fill
from tools.types import Plan, PlanStep, StepResult

BRANCHES = "/api/v4/projects/41/repository/branches"
HELM = """#!/bin/sh
# helm.sh/docs/helm/helm_rollback: a roll-back is a revision of its own.
[ "$1" = rollback ] && [ "$2" = web ] && [ "$4 $5" = "--namespace shop" ] || exit 2
[ "$3" -le "$(wc -l < history)" ] || { echo "Error: release has no $3 version" >&2; exit 1; }
sed -n "$3p" history >> history && echo "Rollback was a success! Happy Helming!"
"""


class GitLabProject(StrictServer):
    """docs.gitlab.com/api: branches, revert a commit, merge requests."""

    def __init__(self) -> None:
        super().__init__()
        self.branches: dict[str, list[str]] = {"main": ["c0ffee1", "bad0bad"]}
        self.requests: list[dict[str, object]] = []
        self.conflicts = False

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        if asked.headers.get("private-token") != "git-token":
            return HttpReply(401, {"message": "401 Unauthorized"})
        body = json.loads(asked.body or b"{}")
        if (asked.method, asked.path) == ("POST", BRANCHES):
            name, ref = asked.one("branch"), asked.one("ref")
            if name in self.branches or ref not in self.branches:
                return HttpReply(400, {"message": "Branch already exists"})
            self.branches[name] = [*self.branches[ref]]
            return HttpReply(201, {"name": name})
        if asked.method == "DELETE" and asked.path.startswith(f"{BRANCHES}/"):
            gone = self.branches.pop(asked.path.removeprefix(f"{BRANCHES}/"), None)
            return HttpReply(404 if gone is None else 204, b"")
        reverted = re.fullmatch(r"/api/v4/projects/41/repository/commits/(\w+)/revert", asked.path)
        if reverted and reverted[1] in self.branches.get(body["branch"], ()):
            if self.conflicts:
                return HttpReply(400, {"error_code": "conflict"})
            self.branches[body["branch"]].append(f"Revert {reverted[1]}")
            return HttpReply(201, {"id": "4e4e4e4"})
        if (asked.method, asked.path) == ("POST", "/api/v4/projects/41/merge_requests"):
            self.requests.append(body)
            return HttpReply(201, {"iid": 7, "state": "opened"})
        return HttpReply(404, {"message": "404 Not Found"})


def plan(playbook: str, given: Mapping[str, object]) -> Plan:
    found = next(one for one in playbooks() if one.id == playbook)
    return fill(found, given, "inc-1", "web", (), 0.0, 900.0)


def run(hand: Runner, steps: Sequence[PlanStep]) -> list[StepResult]:
    return [hand.run(step, f"k{step.index}") for step in steps]


def gitlab_hands(server: GitLabProject) -> HttpRunner:
    base = HttpBase(url=server.url, token_env="T", token_as="PRIVATE-TOKEN")
    reader = SecretReader(Path("runners.toml"), {"T": "git-token"})
    return HttpRunner(HttpCaller({"git": reader.base("git", base)}), SystemClock())


REVERT = {"base": "git", "project": 41, "commit": "bad0bad", "target": "main"}


def test_a_commit_is_taken_back_by_a_merge_request_that_a_person_merges() -> None:
    with serving(GitLabProject()) as server:
        filled, hand = plan("revert-commit", REVERT), gitlab_hands(server)
        assert all(one.ok for one in run(hand, filled.steps))
        assert server.branches["revert-bad0bad"][-1] == "Revert bad0bad"
        assert server.branches["main"] == ["c0ffee1", "bad0bad"]
        assert server.requests[0]["target_branch"] == "main"
        assert all(one.ok for one in run(hand, filled.rollback))
        assert list(server.branches) == ["main"]


def test_a_revert_that_conflicts_fails_and_its_branch_is_deleted() -> None:
    with serving(GitLabProject()) as server:
        server.conflicts = True
        filled, hand = plan("revert-commit", REVERT), gitlab_hands(server)
        assert [one.ok for one in run(hand, filled.steps[:2])] == [True, False]
        assert filled.on_failure == "roll_back"
        assert all(one.ok for one in run(hand, filled.rollback))
        assert (list(server.branches), server.requests) == (["main"], [])


def test_a_helm_release_goes_back_and_forward_by_its_revisions(tmp_path: Path) -> None:
    program, history = tmp_path / "helm", tmp_path / "history"
    program.write_text(HELM.replace("history", str(history)))
    program.chmod(0o755)
    history.write_text("web:1\nweb:2\n")
    given = {"release": "web", "namespace": "shop", "current": 2, "revision": 1}
    filled, hand = plan("helm-rollback", given), CommandRunner({"helm": program}, SystemClock())
    (done,) = run(hand, filled.steps)
    assert "Rollback was a success" in done.output, done.error
    assert history.read_text().split() == ["web:1", "web:2", "web:1"]
    assert run(hand, filled.rollback)[0].ok
    assert history.read_text().split()[-1] == "web:2"
    lost = plan("helm-rollback", {**given, "revision": 9})
    assert "no 9 version" in run(hand, lost.steps)[0].output
