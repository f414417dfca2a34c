"""Runners: what an approved step is run by. One per action, and one that only says what it would.

The runner for Kubernetes is in `kubernetes`; its client needs the optional extra `kubernetes`.
"""

from copilot.adapters.runners.command import CommandRunner
from copilot.adapters.runners.declared import (
    Declared,
    KubernetesTarget,
    RunnersFileError,
    Surroundings,
    described,
    lacking,
    runners,
    turned_on,
)
from copilot.adapters.runners.declared import read as read_runners
from copilot.adapters.runners.dispatch import ActionRunner
from copilot.adapters.runners.dry_run import DryRunRunner
from copilot.adapters.runners.http import Base, HttpRunner
from copilot.adapters.runners.plain import CheckRunner, Confirm, ManualRunner, WaitRunner
from copilot.adapters.runners.report import StepFailedError
from copilot.adapters.runners.settings_file import SettingsFileRunner

__all__ = [
    "ActionRunner",
    "Base",
    "CheckRunner",
    "CommandRunner",
    "Confirm",
    "Declared",
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
