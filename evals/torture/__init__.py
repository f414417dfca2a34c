"""Torture: processes that are killed at their work, to count what is lost or done twice."""
