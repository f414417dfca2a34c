"""Runners: what an approved step is run by. One per action, and one that only says what it would.

The runner for Kubernetes is in `kubernetes`; its client needs the optional extra `kubernetes`.
"""

from copilot.hands.command import CommandRunner
from copilot.hands.declared import (
    ActionRunner,
    KubernetesTarget,
    RunnersFile,
    RunnersFileError,
    Surroundings,
    described,
    lacking,
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
    "read_runners",
    "runners",
    "turned_on",
]
