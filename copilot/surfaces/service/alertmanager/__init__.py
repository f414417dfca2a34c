"""Alertmanager's API, version 2: Prometheus sends to it, amtool and dashboards ask it."""

from copilot.surfaces.service.alertmanager.errors import speaks_alertmanager, wrapped
from copilot.surfaces.service.alertmanager.routes import alertmanager

__all__ = ["alertmanager", "speaks_alertmanager", "wrapped"]
