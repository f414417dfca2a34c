"""Case: one incident from its first alert to its report, as a graph of nodes.

`engine` takes accepted alerts and the answers of people and works the runs; `nodes` has one file
per step, `routes` the ways between them. It stands on every wing but the surfaces and knows no
adapter: what it reads and runs comes in through `deps`.
"""
