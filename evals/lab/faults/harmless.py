"""Harmless: what must lead to no action, however it looks."""

from evals.lab.faults.scenario import Act, LabScenario, done_by_person, sabotage

_FLAP_S = 12.0


def _flapping() -> tuple[Act, ...]:
    """An alert of a badly chosen rule that comes and goes."""
    return tuple(
        Act(
            "monitoring",
            "fire" if turn % 2 == 0 else "resolve",
            "catalog",
            {"alertname": "HeapForecast", "severity": "warning"},
            turn * _FLAP_S,
        )
        for turn in range(6)
    )


def _maintenance() -> tuple[Act, ...]:
    """An announced stop of one service, silenced beforehand, over in time."""
    return (
        Act("monitoring", "silence", "recommendation", {"seconds": 120.0}),
        sabotage("recommendation", "signal", after_s=3.0, signal="stop"),
        sabotage("recommendation", "signal", after_s=33.0, signal="continue"),
    )


HARMLESS: dict[str, LabScenario] = {
    one.name: one
    for one in (
        LabScenario(
            "harmless_deploy",
            (done_by_person("cart", "deploy", version="v4.2.8"),),
            lasts_s=70.0,
        ),
        LabScenario(
            "short_spike",
            (
                sabotage("shop", "crowd", all=5.0),
                sabotage("shop", "crowd", after_s=6.0, all=1.0),
            ),
            lasts_s=70.0,
        ),
        LabScenario("healthy_surge", (sabotage("shop", "crowd", all=2.0),), lasts_s=80.0),
        LabScenario(
            "monitoring_gap",
            (
                sabotage("recommendation", "scraped", scraped=False),
                sabotage("recommendation", "scraped", after_s=40.0, scraped=True),
            ),
            lasts_s=80.0,
        ),
        LabScenario("flapping_alert", _flapping(), lasts_s=85.0),
        LabScenario("maintenance_window", _maintenance(), lasts_s=80.0),
    )
}
