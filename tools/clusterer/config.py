"""The clusterer's settings: one configuration for every stream."""

from typing import Literal

from pydantic import Field

from tools.types import FrozenModel

SECONDS_PER_DAY = 86400.0


class ClustererConfig(FrozenModel):
    """How alerts are grouped; seconds throughout.

    `arm` chooses between declared rules alone (`rules`) and the learned noise and root splitting
    on top of them (`ml`). `scope_labels` name what two alerts must share to be of one incident,
    where both carry it. `callee_labels` name the called service in alerts about a call.
    """

    arm: Literal["rules", "ml"] = "ml"
    scope_labels: tuple[str, ...] = ("cluster", "region", "tenant")
    callee_labels: tuple[str, ...] = (
        "target",
        "callee",
        "destination",
        "destination_service",
        "destination_service_name",
        "destination_workload",
        "peer_service",
    )
    place_labels: tuple[str, ...] = ("node", "host", "hostname", "pod")
    """Labels of where something runs: alerts that share a value are related without a call path.

    Not `instance`: alerts of one exporter share it, whatever they are about."""

    zone_labels: tuple[str, ...] = (
        "zone",
        "availability_zone",
        "topology_kubernetes_io_zone",
        "failure_domain_beta_kubernetes_io_zone",
    )
    """Where a place fails as a whole. A zone relates alerts once the stream has shown two zones."""

    burst: float = Field(default=15.0, ge=0)
    """Alerts that start this close together are one delivery's worth of news."""
    unrelated_gap: float = Field(default=130.0, gt=0)
    unrelated_quiet: float = Field(default=60.0, gt=0)
    """An alert of the same call graph, but on no call path to a group's root, joins the group until
    this long after its last start, and its last end. So do momentary events: sensors tell of one
    thing from many places."""
    storm_subjects: int = Field(default=24, ge=3)
    """So many unrelated subjects within `unrelated_gap` are one storm; fewer are incidents of their
    own. Two dozen is more than a person can take in one by one."""
    related_gap: float = Field(default=600.0, gt=0)
    """The same for an alert of a service in the group, or on a call path to its root."""
    firing_for: float = Field(default=4 * 3600.0, gt=0)
    """A firing alert that nobody repeats or resolves counts as ended after this long."""
    late: float = Field(default=3600.0, gt=0)
    """An alert delivered later than this after its start is placed by its arrival."""

    doubts_per_group: int = Field(default=8, ge=0)
    """Uncertain kinds of alerts that a judge is asked about per group; then the rules decide."""

    storm_events: int = Field(default=50, ge=1)
    storm_pause: float = Field(default=5.0, gt=0)
    """A group of this many momentary events ends after a pause of 30 times its mean spacing, but
    not before `storm_pause`."""

    flap_window: float = Field(default=1800.0, gt=0)
    flap_limit: float = Field(default=3.0, gt=1)
    """This many restarts within a window (exponentially forgotten) make an alert flap."""
    reopen_within: float = Field(default=300.0, ge=0)
    """An alert that fires again so soon after its group ended reopens that group."""

    surface_per_day: float = Field(default=5.5, gt=0)
    """Groups as strange as this many a day in their scope are told; the rest is held as noise."""
    learn_for: float = Field(default=3600.0, ge=0)
    learn_groups: int = Field(default=5, ge=0)
    learn_episodes: int = Field(default=5, ge=0)
    """Nothing is held as noise before the stream was watched this long, nor before its scope has
    shown this many groups at least as strange, nor while it holds an alert name that the scope
    raised no more often than this."""
    learn_grave_for: float = Field(default=8 * 3600.0, ge=0)
    """The same as `learn_for` for groups with a high or critical alert."""

    keep_groups: int = Field(default=10_000, ge=1)
    keep_alerts: int = Field(default=50_000, ge=1)
    """Bounds of memory: ended groups that can still be asked for, and alerts remembered."""
