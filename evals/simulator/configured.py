"""What is configured in a world, as a deployment's own records would say it."""

import numpy as np

from evals.simulator.world import World
from tools.types import Fact


def configured(world: World) -> dict[str, Fact]:
    """Facts under keys `<fact>:<component>`.

    `kind`, `replicas` (desired), `pool_size`, `node` (where most pods run), `ready_nodes` (nodes
    that take pods), `flag` (the feature turned on last and still on) of our services; `kind` and
    the one `caller` of what lies outside, which is its caller's `dependency`.
    """
    found: dict[str, Fact] = {}
    graph, state = world.graph, world.state
    open_nodes = float((state.placed_to.sum(axis=0) > 0).sum())
    for index, service in enumerate(graph.visible):
        name = service.name
        found |= {
            f"kind:{name}": service.kind,
            f"replicas:{name}": float(state.desired[index]),
            f"pool_size:{name}": float(state.pool[index]),
            f"node:{name}": graph.nodes[int(np.argmax(state.placed_to[index]))],
            f"ready_nodes:{name}": open_nodes,
        }
    found |= {f"flag:{name}": flag for (name, flag), on in state.flags.items() if on}
    outside = {s.name for s in graph.services if s.kind == "external"}
    for call in graph.calls:
        if call.callee in outside:
            found[f"kind:{call.callee}"] = "external"
            found[f"caller:{call.callee}"] = call.caller
            found[f"dependency:{call.caller}"] = call.callee
    return found
