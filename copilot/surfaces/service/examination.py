"""`GET /doctor`: what this service finds of itself, with its own settings."""

from collections.abc import Callable

from fastapi import APIRouter

from copilot.types.checks import CheckReport


def doctor(report: Callable[[], CheckReport]) -> APIRouter:
    """The checks of `copilot doctor`, run here; looking takes as long as the slowest source."""
    router = APIRouter(tags=["health"])

    @router.get("/doctor", summary="What is configured, reachable or missing")
    def examine() -> CheckReport:
        return report()

    return router
