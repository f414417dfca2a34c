"""Hands: runners, by which an approved step acts on the world, and the judgement of the recovery.

A `PlanStep` with an idempotency key comes in, a `StepResult` goes out. There is one runner per
action, and one that only says what it would do; `read_runners` reads which are turned on. It stands
on the sources. The runner for Kubernetes is in `kubernetes`; its client needs the extra
`kubernetes`.
"""

from copilot.hands.action import ActionRunner
from copilot.hands.command import CommandRunner
from copilot.hands.credentials import RunnersFileError
from copilot.hands.declared import (
    KubernetesTarget,
    RunnersFile,
    Surroundings,
    described,
    lacking,
    meaning,
    runners,
    turned_on,
)
from copilot.hands.declared import read as read_runners
from copilot.hands.http import Base, HttpRunner
from copilot.hands.plain import (
    CheckRunner,
    ConfirmationPrompt,
    DryRunRunner,
    ManualRunner,
    WaitRunner,
    nobody_confirms,
)
from copilot.hands.report import StepFailedError
from copilot.hands.settings_file import SettingsFileRunner

__all__ = [
    "ActionRunner",
    "Base",
    "CheckRunner",
    "CommandRunner",
    "ConfirmationPrompt",
    "RunnersFile",
    "DryRunRunner",
    "HttpRunner",
    "KubernetesTarget",
    "ManualRunner",
    "RunnersFileError",
    "SettingsFileRunner",
    "StepFailedError",
    "Surroundings",
    "WaitRunner",
    "described",
    "lacking",
    "meaning",
    "nobody_confirms",
    "read_runners",
    "runners",
    "turned_on",
]
