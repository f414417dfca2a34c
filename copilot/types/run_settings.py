"""The settings of runs and their times; a part of `copilot.settings`, which reads them."""

from pydantic import Field
from pydantic_settings import BaseSettings


class RunSettings(BaseSettings):
    """How long what is waited for, how often it is looked at, and whose clock is believed."""

    plan_ttl_s: float = Field(
        default=900, gt=0, description="How long a proposed plan may be approved, in seconds."
    )
    plans_limit: int = Field(
        default=3, ge=1, le=10, description="Most plans proposed in one run of an incident."
    )
    refresh_s: float = Field(
        default=30,
        ge=0,
        description="Least time between two investigations of one incident when alerts join it.",
    )
    verify_limit_s: float = Field(
        default=300, gt=0, description="How long a recovery is waited for before the next plan."
    )
    settle_s: float = Field(
        default=30,
        ge=0,
        description="No plan rests on what was seen sooner than this after the first alert; the "
        "brief does not wait.",
    )
    stop_grace_s: float = Field(
        default=25,
        ge=0,
        description="How long a running step may take to end after SIGTERM; then it is cut off and "
        "a person is asked whether it ran. Keep it below what your supervisor waits before SIGKILL "
        "(Kubernetes: terminationGracePeriodSeconds, 30).",
    )
    clock_skew_s: float = Field(
        default=5,
        ge=0,
        description="How far a sender's clock may be ahead of ours; an alert dated later than that "
        "began when it arrived.",
    )
