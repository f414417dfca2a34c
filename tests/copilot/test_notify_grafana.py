"""Incidents on the graphs of a Grafana: one region each, a point for each step."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from copilot.ports import NoticeError
from copilot.surfaces.notify.channel_http import ChannelHttp
from copilot.surfaces.notify.grafana import LONGEST_TAGS, GrafanaSender
from copilot.testing.channels import GrafanaServer
from copilot.testing.strict_http import HttpReply, ReceivedRequest, serving
from copilot.types.notice import Moment, Notice

NOW = 1_700_000_000.0
ONSET = NOW - 90


def notice(moment: Moment, after: float = 0.0, **given: Any) -> Notice:
    fields: dict[str, Any] = {
        "incident_id": "inc-1", "seq": 1, "at": NOW + after, "moment": moment, "by": "copilot",
        "status": "investigating", "severity": "critical", "services": ("cart", "gateway"),
        "heads": {"en": f"cart & <b>: {moment}", "zh": "慢"},
        "lines": {"en": ("**Cause**: cart",), "zh": ()}, "links": {"en": "https://c.example/i"},
        "onset": ONSET,
    }  # fmt: skip
    return Notice.model_validate({**fields, **given})


class TornGrafana(GrafanaServer):
    """Takes what is posted, and may not say so."""

    breaks = False
    reads_only = False

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        if self.reads_only and asked.method == "PATCH":
            return HttpReply(403, {"message": "You'll need additional permissions"})
        told = super().reply(asked)
        return HttpReply(502, b"") if self.breaks and asked.method == "POST" else told


@pytest.fixture
def grafana() -> Iterator[TornGrafana]:
    with serving(TornGrafana()) as server:
        yield server


def told(server: GrafanaServer) -> GrafanaSender:
    token = SecretStr(server.token)
    return GrafanaSender(ChannelHttp(["127.0.0.1"]), f"{server.url}/api/", token, "en")


def shown(server: GrafanaServer) -> list[dict[str, Any]]:
    return [one[-1] for one in server.messages.values()]


def test_an_incident_is_one_region_from_its_onset_to_its_end(grafana: TornGrafana) -> None:
    sender, before = told(grafana), ""
    before = sender.send(notice("opened", onset=NOW), "g/1", before)
    assert shown(grafana)[0]["time"] == NOW * 1000
    before = sender.send(notice("located", 30, kind="bad_deploy"), "g/2", before)
    assert "timeEnd" not in shown(grafana)[0]
    sender.send(notice("recovered", 600), "g/3", before)
    (region,) = shown(grafana)
    assert (region["time"], region["timeEnd"]) == (ONSET * 1000, (NOW + 600) * 1000)
    assert region["text"] == (
        "cart &amp; &lt;b&gt;: recovered<br>Cause: cart"
        '<br><a href="https://c.example/i">Open the incident</a>'
    )


def test_graphs_can_be_filtered_by_service_severity_and_kind(grafana: TornGrafana) -> None:
    told(grafana).send(notice("located", kind="bad_deploy"), "g/1", "")
    wanted = {
        *("copilot", "severity:critical", "kind:bad_deploy", "incident:inc-1"),
        *("service:cart", "service:gateway"),
    }
    assert wanted < set(shown(grafana)[0]["tags"])


def test_names_that_are_too_long_are_left_out_of_the_tags(grafana: TornGrafana) -> None:
    names = tuple(f"{'é' * 90}-{number}" for number in range(5))
    told(grafana).send(notice("opened", services=names), "g/1", "")
    assert len(str(shown(grafana)[0]["tags"])) < LONGEST_TAGS


def test_a_step_is_a_point_of_its_own(grafana: TornGrafana) -> None:
    sender = told(grafana)
    before = sender.send(notice("opened"), "g/1", "")
    sender.send(notice("step", 60), "g/2", before)
    region, point = shown(grafana)
    assert (point["time"], "timeEnd" in point, "step" in point["tags"]) == (
        (NOW + 60) * 1000,
        False,
        True,
    )
    assert region["time"] == ONSET * 1000


@pytest.mark.parametrize("moment", ["opened", "step"])
def test_what_was_taken_and_not_answered_is_not_drawn_twice(
    grafana: TornGrafana, moment: Moment
) -> None:
    sender = told(grafana)
    before = sender.send(notice("opened"), "g/1", "") if moment == "step" else ""
    drawn, grafana.breaks = len(grafana.messages), True
    with pytest.raises(NoticeError):
        sender.send(notice(moment), "g/2", before)
    grafana.breaks = False
    sender.send(notice(moment), "g/2", before)
    assert len(grafana.messages) == drawn + 1


def test_what_begins_again_is_another_region(grafana: TornGrafana) -> None:
    sender = told(grafana)
    ended = sender.send(notice("recovered", 600), "g/2", sender.send(notice("opened"), "g/1", ""))
    again = sender.send(notice("reopened", 900), "g/3", ended)
    sender.send(notice("resolved", 1000), "g/4", again)
    spans = [(one["time"] / 1000 - NOW, one["timeEnd"] / 1000 - NOW) for one in shown(grafana)]
    assert spans == [(-90, 600), (900, 1000)]


def test_a_region_that_was_deleted_is_drawn_again(grafana: TornGrafana) -> None:
    sender = told(grafana)
    before = sender.send(notice("opened"), "g/1", "")
    grafana.clear()
    sender.send(notice("located"), "g/2", before)
    assert len(grafana.messages) == 1


def test_a_token_that_may_not_write_draws_no_second_region(grafana: TornGrafana) -> None:
    sender = told(grafana)
    before = sender.send(notice("opened"), "g/1", "")
    grafana.reads_only = True
    with pytest.raises(NoticeError) as caught:
        sender.send(notice("located"), "g/2", before)
    assert caught.value.fault == "target"
    assert len(grafana.messages) == 1


def test_what_is_told_together_is_not_drawn(grafana: TornGrafana) -> None:
    assert told(grafana).send(notice("digest"), "g/1", "") == ""
    assert grafana.messages == {}
