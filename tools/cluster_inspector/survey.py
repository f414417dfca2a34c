"""Decide what to ask a cluster next, so that a diagnosis needs few questions and repeats none."""

from collections.abc import Callable, Sequence

from tools.types import ClusterState, Look

LISTED = ("Pod", "Service", "Deployment", "Endpoints", "Node")
"""What every survey lists first."""


def next_looks(state: ClusterState) -> tuple[Look, ...]:
    """The questions whose answers may change the diagnosis; empty when enough is known.

    >>> next_looks(ClusterState(namespace="shop"))[0]
    Look(verb='list', kind='Pod', name='', detail='')
    """
    asked = set(state.looked)
    wanted = (Look(verb="list", kind=kind) for kind in LISTED)
    return tuple(look for look in wanted if look not in asked)


def survey(
    look: Callable[[Sequence[Look]], ClusterState], start: ClusterState | None = None
) -> ClusterState:
    """Ask until nothing more is worth asking; `look` answers questions with what it found."""
    state = start or ClusterState()
    while looks := next_looks(state):
        state = state.plus(look(looks)).plus(ClusterState(looked=looks))
    return state
