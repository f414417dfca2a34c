"""Alerts of the copilot itself: on what the watch found, on the strongest anomaly of a window."""

from collections.abc import Sequence

from copilot.sources.deployment import Sources
from copilot.types.incident import OURS, PROVISIONAL
from copilot.types.time_format import duration
from tools.clusterer import fingerprint
from tools.detector import onset
from tools.types import Alert, Anomaly, Owner, Subject, Timestamp, Window

EXPLAINED = 3
"""Reasons in the summary of an alert."""


def own_alert(sources: Sources, now: Timestamp, lookback_s: float) -> Alert | None:
    """An alert on the strongest anomaly of the last `lookback_s` seconds; None if all is quiet."""
    window = Window(start=now - lookback_s, end=now)
    measured = sources.measure(window, normal_before=window.start)
    began = onset(measured.series, measured.baseline, now)
    if not began.anomalies:
        return None
    return _alert(sources.topology().entry, began.at, _summary(began.anomalies[:1]))


def alert_of(found: Sequence[Anomaly], at: Timestamp, past_s: float | None = None) -> Alert:
    """An alert on episodes that belong together, about the service most of them are about.

    `past_s` are the seconds of past it rests on where that is too little: it is provisional then.
    """
    service = _most_of(found)
    own = [one for one in found if Owner.parse(one.owner).service == service]
    strangest = sorted(own, key=lambda one: one.score)[:EXPLAINED]
    past = duration(past_s) if past_s is not None else ""
    return _alert(service, at, _summary(strangest), past)


def _summary(found: Sequence[Anomaly]) -> dict[str, str]:
    """What was seen, in both languages, under the names of the annotations."""
    return {
        "summary": "; ".join(f"{one.owner} {one.metric}: {one.reason}" for one in found),
        "summary_zh": ";".join(map(_chinese, found)),
    }


def _chinese(one: Anomaly) -> str:
    if one.kind == "missing":
        return f"{one.owner} 已没有任何数据,其他服务仍在上报"
    band = f"(正常为 {one.low:.5g} 至 {one.high:.5g})" if one.low < one.high else ""
    return f"{one.owner} {one.metric}:{one.observed:.5g}{band}"


def _most_of(found: Sequence[Anomaly]) -> str:
    """The service most of the episodes are about; of equals, the one with the strangest."""
    services = [Owner.parse(one.owner).service for one in found]
    strangest = {
        s: min(f.score for f, of in zip(found, services, strict=True) if of == s) for s in services
    }
    return max(strangest, key=lambda s: (services.count(s), -strangest[s]))


def _alert(service: str, at: Timestamp, said: dict[str, str], past: str = "") -> Alert:
    labels = {"alertname": "AnomalyDetected", "service": service, "detector": "copilot"}
    if past:
        said = {
            "summary": f"provisional, on {past} of past: {said['summary']}",
            "summary_zh": f"暂定,仅有 {past} 的历史数据:{said['summary_zh']}",
            PROVISIONAL: past,
        }
    return Alert(
        fingerprint=fingerprint(labels),
        name="AnomalyDetected",
        service=service,
        subject=Subject(kind="service", name=service) if service else Subject(),
        severity="warning",
        starts_at=at,
        labels=labels,
        annotations=said,
        source=OURS,
    )
