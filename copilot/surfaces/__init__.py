"""Surfaces: how people and programs reach the copilot: HTTP service, command line, chat.

Questions, decisions and payloads come in; text, JSON and events go out. The highest floor: nothing
but the program itself imports it, and it decides nothing about an incident.
"""
