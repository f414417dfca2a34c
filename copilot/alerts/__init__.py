"""Alerts: what monitoring sends, in; groups that belong to one incident, out.

`formats` reads the payloads, `admission` decides with the clusterer what becomes of each alert,
`maintenance` knows announced work. It stands on the store and the ports.
"""
