"""What the clusterer answers for each alert, and how sure it is of it."""

from typing import Literal, NamedTuple

Action = Literal[
    "opened",  # the first alert of a group that a person should see
    "attached",  # joined an open group, new information for it
    "reopened",  # it ended a while ago and fires again: its group goes on
    "deduplicated",  # the same alert again: the same firing, or once more in its group
    "resolved",  # an end of an alert that was firing
    "inhibited",  # a burning cause explains it; listed under the group of its cause
    "silenced",  # a person asked not to hear of it, or a maintenance window is open
    "flapping",  # it comes and goes; it is told once, then held until it settles
    "noise",  # its history says that it does not announce incidents; kept, not surfaced
    "heartbeat",  # it fires while all is well; its absence is the news
]

SUPPRESSED: frozenset[Action] = frozenset(
    {"inhibited", "silenced", "flapping", "noise", "heartbeat"}
)
"""Actions that do not open or enlarge an incident on a person's screen; all can be listed."""

DECLARED_RULE = "a declared rule"
"""How the reason begins where a rule of the operator inhibits, and no cause found by us."""


class Decision(NamedTuple):
    """What became of one alert, and why.

    `group_id` is the group the alert belongs to, empty where it belongs to none; `rank` is the
    probability-like score in [0, 1] that the group is a real incident, for ordering.
    """

    fingerprint: str
    action: Action
    group_id: str
    reason: str
    rank: float = 0.0
