"""Sources: series, logs, traces, changes, topology and cluster objects, read through the ports.

One module or package per system outside, and recordings that stand for all of them; `merged` makes
one of several. It stands on the alerts' formats and the ports, and changes nothing outside.
"""
