"""Alertmanager's API, version 2: Prometheus sends to it, amtool and dashboards ask it."""
