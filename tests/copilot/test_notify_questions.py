"""Asking in a channel of Slack: who may, about which incident, and once."""

import json
from pathlib import Path

import pytest

from copilot.surfaces.notify.doors import ChannelQuestion, ChannelUser
from copilot.surfaces.notify.slack import place_of
from copilot.testing.channels import SlackServer
from tests.copilot.channel_world import (
    Channel,
    answering,
    app,
    asking,
    channel,
    slack,
)
from tests.copilot.people_world import (
    NOW,
    copied,
    empty,
    planned,
    store,
    waiting,
)

__all__ = ["app", "asking", "channel", "empty", "planned", "slack", "store", "waiting"]


def asked(there: Channel, key: str = "Ev1", host: str = "T0OURS", **event: str) -> list[str]:
    """What stands in the thread after somebody asked, in a channel that `host` began."""
    said = {"type": "app_mention", "user": "U0VIEW", "channel": "C0SRE", "ts": "7.7", **event}
    there.clock.now += 1
    _, body = there.slack.said(said, key, there.clock.now)
    body = json.dumps({**json.loads(body), "team_id": host}).encode()
    assert there.post(there.slack.signed(body, there.clock.now), body).status_code == 200
    return there.slack.threads.get(said.get("thread_ts", said["ts"]), [])


def test_a_mention_under_an_incidents_message_is_answered_there_about_it(asking: Channel) -> None:
    text = "<@U0BOT> what is the status of this incident?"
    (answer,) = asked(asking, text=text, thread_ts=asking.message)
    assert "till" in answer
    assert "**" not in answer
    (spoken,) = asking.store.conversations.list()
    assert spoken.incident_id == "I1"
    (turn,) = asking.store.conversations.turns(spoken.id)
    assert turn.question == "what is the status of this incident?"
    again = asked(asking, "Ev2", text="<@U0BOT> who is affected?", thread_ts=asking.message)
    assert len(again) == 2
    assert len(asking.store.conversations.turns(spoken.id)) == 2, "one conversation a thread"


def test_under_the_message_of_a_storm_or_a_digest_no_incident_is_meant(asking: Channel) -> None:
    asking.store.notices.keep_card("slack", "storm-7", place_of("C0SRE", "9.9"))
    (answer,) = asked(asking, text="<@U0BOT> list open incidents", thread_ts="9.9")
    assert "till" in answer


def test_a_direct_message_is_answered_in_its_thread(asking: Channel) -> None:
    event = {"type": "message", "channel_type": "im", "channel": "D0DIRECT"}
    assert len(asked(asking, text="list open incidents &lt;now&gt;", **event)) == 1


def test_what_slack_delivers_twice_is_answered_once(asking: Channel) -> None:
    asked(asking, text="list open incidents")
    assert len(asked(asking, text="list open incidents")) == 1


UNANSWERED = {
    "a robot": {"type": "message", "channel_type": "im", "bot_id": "B1"},
    "an edit": {"type": "message", "channel_type": "im", "subtype": "message_changed"},
    "talk in the channel": {"type": "message", "channel_type": "channel"},
    "a reaction": {"type": "reaction_added"},
}


@pytest.mark.parametrize("row", UNANSWERED)
def test_what_nobody_asks_us_is_not_answered(row: str, asking: Channel) -> None:
    assert asked(asking, text="hello", **UNANSWERED[row]) == []
    assert asking.store.conversations.list() == ()


def test_who_has_no_account_is_told_so_and_asks_nothing(asking: Channel) -> None:
    (answer,) = asked(asking, user="U0WHO", text="list open incidents")
    assert "nobody here" in answer
    (other,) = asked(asking, user_team="T0THEIRS", text="list", ts="8.8", key="Ev2")
    assert "of another workspace" in other
    assert asking.store.conversations.list() == ()


QUESTION = ChannelQuestion(
    user=ChannelUser(id="U0VIEW"), text="", key="k", channel="C0SRE", place="p", thread="om_t"
)


def test_in_a_channel_that_another_workspace_shares_ours_ask_and_theirs_do_not(
    asking: Channel,
) -> None:
    text = "list open incidents"
    (answer,) = asked(asking, host="T0THEIRS", user_team="T0OURS", text=text)
    assert "till" in answer
    (other,) = asked(asking, "Ev2", "T0THEIRS", user_team="T0THEIRS", text=text, ts="8.8")
    assert "of another workspace" in other


def test_a_stranger_asks_nothing_where_nobody_has_an_account_either(
    planned: Path, tmp_path: Path, slack: SlackServer
) -> None:
    for unowned in copied(planned, tmp_path):
        there = answering(unowned, slack)
        (other,) = asked(there, user="U0WHO", user_team="T0THEIRS", text="list open incidents")
        assert "of another workspace" in other
        (answer,) = asked(there, "Ev2", user="U0WHO", text="list open incidents", ts="8.8")
        assert "till" in answer


def test_an_answer_calls_nobody(channel: Channel) -> None:
    channel.doors["slack"].reply(QUESTION, "the log says <!channel> & <@U1>")
    assert channel.slack.threads["om_t"] == ["the log says &lt;!channel&gt; &amp; &lt;@U1&gt;"]


def test_what_slack_marks_in_a_question_is_read_as_text(asking: Channel) -> None:
    asked(asking, text="<@U0BOT> what about <https://x.example|this> &lt;now&gt;?")
    (spoken,) = asking.store.conversations.list()
    (turn,) = asking.store.conversations.turns(spoken.id)
    assert turn.question == "what about this <now>?"


def test_the_address_proves_that_it_is_ours(channel: Channel) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZb"}).encode()
    assert channel.post(channel.slack.signed(body, NOW), body).json() == {"challenge": "3eZb"}
    forged = {**channel.slack.signed(body, NOW), "x-slack-signature": "v0=0"}
    assert channel.post(forged, body).status_code == 401
