"""Recorder: a stretch of the lab's life as an incident bundle, `incident-bundle/1`."""
