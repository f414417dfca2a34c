"""`python -m docs.channels [--pictures]`: a conversation in each channel that answers, as it goes
between us and servers written from the platforms' documents; and what their cards look like.

Writes docs/notify-conversations.md, and docs/pictures/cards.png by Debian's Chromium.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from copilot.store import Store
from copilot.surfaces.console.chart import TimeMark, chart
from copilot.surfaces.console.picture import png
from copilot.testing.channels import SlackServer
from copilot.testing.dingtalk_server import DingTalkAppServer
from copilot.testing.feishu_server import FeishuServer
from copilot.testing.strict_http import serving
from copilot.testing.wecom_server import WeComAppServer
from copilot.types.incident import Incident
from prompts import LANGUAGES, Language, word
from tests.copilot.channel_world import DINGTALK, FEISHU, WECOM, Channel, chat_of
from tests.copilot.people_world import NOW, account
from tests.copilot.test_notify_apps import DingTalkChat, WeComChat
from tests.copilot.test_notify_feishu import FeishuChat
from tests.copilot.test_notify_lines import SOCKET
from tests.evals.chromium import opened
from tools.types import Plan, PlanStep, Series, Window

PAGE = Path(__file__).parent / "notify-conversations.md"
PICTURES = Path(__file__).parent / "pictures"

HEAD = """# What is said in each channel

Written by `python -m docs.channels` (held by `tests/test_docs_channels.py`): the product's own
senders and doors against servers written from the platforms' documents (`copilot/testing/`). The
real platforms could not be reached from where this was built. How they are set up: docs/notify.md.

![the cards, drawn by a page of ours](pictures/cards.png)
"""
PLAN = Plan(
    id="rollback-1", incident_id="I1", playbook_id="rollback", title="Roll cart back to v4.2.7",
    risk="B", component="cart", created_at=NOW, expires_at=NOW + 900, digest="0147cc75" * 8,
    steps=(PlanStep(index=0, title="roll back", action="wait"),),
)  # fmt: skip
BRIEF: Mapping[Language, tuple[tuple[str, str], ...]] = {
    "en": (
        ("what", "gateway error_pct rose to 67.49%, normally 0%."),
        ("who", "users of gateway: 67.5% more of the calls fail"),
        ("cause", "proven: cart, connection pool exhausted (99 %)"),
        ("before", "cart: deploy from v4.2.8 to v4.2.7 142 s before the onset."),
        ("next", "approve or reject rollback on cart (dry run: nothing is really touched)"),
    ),
    "zh": (
        ("what", "gateway error_pct 升至 67.49%,平时为 0%。"),
        ("who", "gateway 的用户:多 67.5% 的调用失败"),
        ("cause", "已证实:cart,连接池耗尽(99 %)"),
        ("before", "cart:异常出现前 142 秒由 v4.2.8 部署到 v4.2.7。"),
        ("next", "批准或拒绝对 cart 回滚(演练,不会真正执行)"),
    ),
}


def brief(language: Language) -> str:
    """The brief of the incident that is talked of."""
    return "\n".join(f"**{word('answer', name, language)}**: {it}" for name, it in BRIEF[language])


@contextmanager
def talked_of() -> Iterator[Store]:
    """A store with one incident whose plan waits, and accounts of three people."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.sqlite")
        store.create()
        store.incidents.open(
            Incident(
                id="I1", title="HighErrorRate on gateway", status="awaiting_approval",
                severity="critical", services=("cart", "gateway"), opened_at=NOW, updated_at=NOW,
                plan=PLAN, brief={one: brief(one) for one in LANGUAGES},
            )
        )  # fmt: skip
        store.approvals.request(PLAN, "run-1", NOW)
        for role in ("viewer", "responder", "approver"):
            store.people.add(account(f"the {role}", role))
        yield store
        store.close()


class SlackChat(Channel):
    """The one of Socket Mode, heard envelope by envelope."""

    keys = 0

    def hear(self, kind: str, posted: tuple[dict[str, str], bytes]) -> str | bytes:
        line = self.desk.door.line
        assert line is not None
        self.keys += 1
        message = line.heard(self.slack.enveloped(kind, f"env-{self.keys}", posted))
        answer, later = self.desk.answered(message.arrival)
        if later is not None:
            later()
        return message.receipt(answer) if message.receipt else ""

    def press(self, choice: str, user: str, **changed: str) -> str:
        self.clock.now += 1
        button = dict(self.buttons[choice])
        button["value"] = json.dumps({**json.loads(button["value"]), **changed})
        self.hear("interactive", self.slack.pressed(button, user, self.clock.now))
        return self.slack.whispers[-1][1]

    def ask(self, text: str, user: str) -> list[str]:
        event = {
            "type": "app_mention", "user": user, "text": f"<@U0BOT> {text}", "channel": "C0SRE",
            "ts": "9.9", "thread_ts": self.message,
        }  # fmt: skip
        self.hear("events_api", self.slack.said(event, "Ev1", self.clock.now))
        return self.slack.threads[self.message][-1:]


class LarkChat(FeishuChat):
    """As in the tests, and asked in the thread of its card."""

    def ask(self, text: str, user: str) -> list[str]:
        sender = {"sender_id": {"open_id": user}, "sender_type": "user", "tenant_key": "ours"}
        message = {
            "message_id": "om_q", "root_id": self.message, "chat_id": "oc_sre",
            "message_type": "text", "content": json.dumps({"text": text}),
        }  # fmt: skip
        event = {"sender": sender, "message": message}
        self.post(*self.server.told("im.message.receive_v1", event, "ev-q", self.clock.now))
        return self.server.threads["om_q"]


WORLDS: dict[str, tuple[str, type[Any], type[Any], Mapping[str, object]]] = {
    "slack": ("Slack, over Socket Mode", SlackChat, SlackServer, SOCKET),
    "feishu": ("Feishu, by its callback", LarkChat, FeishuServer, FEISHU),
    "dingtalk": ("DingTalk, over stream mode", DingTalkChat, DingTalkAppServer, DINGTALK),
    "wecom": ("WeCom, by its callback", WeComChat, WeComAppServer, WECOM),
}
QUESTIONS = {"feishu": "现在有哪些未关闭的事件?"}
Recorded = tuple[list[str], dict[str, Any]]


def recorded(name: str) -> Recorded:
    """The conversation, line by line, and the cards at its beginning and end."""
    title, world, made, declared = WORLDS[name]
    with talked_of() as store, serving(made()) as server:
        talk = world(store, server, declared, chat=chat_of(store))
        if name in ("dingtalk", "wecom"):
            talk.server = server
        first = server.messages[talk.message][-1]
        lines = [f"## {title}\n", "**copilot** posts:\n", _block(first)]

        def said(who: str, what: str, answers: str) -> None:
            lines.append(f"**{who}** {what}. Told to them alone: *{answers}*\n")

        said("a viewer", "presses *approve*", talk.press("approve", "U0VIEW"))
        said("somebody of another team", "presses *take*", talk.press("take", "U0WHO"))
        old = "an approver whose card shows an older plan"
        said(old, "presses *approve*", talk.press("approve", "U0APP", digest="cd" * 32))
        said("an approver", "presses *approve*", talk.press("approve", "U0APP"))
        store.journal.append("I1", "approved", "the approver", {}, NOW)
        talk.told()
        last = server.messages[talk.message][-1]
        lines += ["The message is changed, and says who decided:\n", _block(last)]
        question = QUESTIONS.get(name, "list open incidents")
        answer = talk.ask(question, "U0RESP")[-1]
        lines += [f"**a responder** writes: *{question}*, and is answered:\n"]
        lines += ["\n".join(f"> {one}".rstrip() for one in answer.splitlines()) + "\n"]
    return lines, {"before": first, "after": last}


def _block(card: Mapping[str, Any]) -> str:
    return f"```json\n{json.dumps(card, ensure_ascii=False, indent=1)}\n```\n"


def page(found: Mapping[str, Recorded]) -> str:
    """The page of all conversations."""
    return HEAD + "\n" + "\n".join("\n".join(lines) for lines, _ in found.values())


STYLE = """
body { margin: 0; padding: 24px; background: #eef0f3; color: #1d1c1d;
  font: 14px/1.45 system-ui, "Noto Sans CJK SC", sans-serif; }
.all { display: grid; grid-template-columns: repeat(2, 520px); gap: 24px; align-items: start; }
h2 { margin: 0 0 8px; font-size: 13px; color: #555; }
.card { background: #fff; border: 1px solid #d8dade; border-radius: 8px; overflow: hidden; }
.in { padding: 12px 14px; }
h3 { margin: 0; padding: 10px 14px 0; font-size: 15px; }
h3.red { background: #fde2e2; padding-bottom: 10px; }
p { margin: 0 0 4px; overflow-wrap: anywhere; }
.row { display: flex; gap: 8px; padding: 0 14px 12px; }
.row span { border: 1px solid #bbb; border-radius: 4px; padding: 4px 12px; }
.row .primary, .row .s1 { background: #1e6fff; border-color: #1e6fff; color: #fff; }
.slack .primary { background: #007a5a; border-color: #007a5a; }
.row .danger, .row .s2 { background: #c0392b; border-color: #c0392b; color: #fff; }
img { width: 100%; display: block; }
"""


def cards(found: Mapping[str, Recorded], picture: str) -> str:
    """A page that draws the cards of the four, each out of the JSON that was posted."""
    drawn = [
        f'<section><h2>{WORLDS[name][0]}: {when}</h2><div class="card {name}">'
        f"{_DRAWN[name](card, picture)}</div></section>"
        for name, (_, both) in found.items()
        for when, card in both.items()
    ]
    return f'<meta charset="utf-8"><style>{STYLE}</style><div class="all">{"".join(drawn)}</div>'


def _markdown(text: str) -> str:
    parts = escape(text).replace("**", "*").split("*")
    bold = "".join(f"<b>{one}</b>" if number % 2 else one for number, one in enumerate(parts))
    return "".join(f"<p>{one}</p>" for one in bold.splitlines() if one)


def _buttons(found: list[tuple[str, str]]) -> str:
    return (
        '<div class="row">' + "".join(f'<span class="{k}">{t}</span>' for t, k in found) + "</div>"
    )


def _slack(card: Mapping[str, Any], picture: str) -> str:
    head, text, *rest = card["blocks"]
    shown = [(one["text"]["text"], one.get("style", "")) for row in rest for one in row["elements"]]
    return (
        f"<h3>{escape(head['text']['text'])}</h3><div class='in'>"
        f"{_markdown(text['text']['text'])}</div>{_buttons(shown)}"
    )


def _feishu(card: Mapping[str, Any], picture: str) -> str:
    head = escape(card["header"]["title"]["content"])
    texts = [one["text"]["content"] for one in card["elements"] if one["tag"] == "div"]
    rows = [one["actions"] for one in card["elements"] if one["tag"] == "action"]
    shown = [(one["text"]["content"], one["type"]) for row in rows for one in row]
    image = f"<img src='{picture}'>"
    return (
        f"<h3 class='{card['header']['template']}'>{head}</h3><div class='in'>"
        f"{''.join(map(_markdown, texts))}{image}</div>{_buttons(shown)}"
    )


def _dingtalk(card: Mapping[str, Any], picture: str) -> str:
    styles = {"approve": "primary", "reject": "danger", "take": ""}
    shown = [(card[f"{one}_label"], style) for one, style in styles.items() if card[one]]
    return (
        f"<h3>{escape(card['title'])}</h3><div class='in'>{_markdown(card['text'])}"
        f"<img src='{picture}'></div>{_buttons(shown)}"
    )


def _wecom(card: Mapping[str, Any], picture: str) -> str:
    shown = [(one["text"], f"s{one['style']}") for one in card.get("button_list", ())]
    title = card["main_title"]
    return (
        f"<h3>{escape(title['title'])}</h3><div class='in'><p>{escape(title['desc'])}</p>"
        f"{_markdown(card['sub_title_text'])}</div>{_buttons(shown)}"
    )


_DRAWN = {"slack": _slack, "feishu": _feishu, "dingtalk": _dingtalk, "wecom": _wecom}


def series() -> bytes:
    """The picture that stands in the cards: a service whose calls begin to fail."""
    times = np.arange(0.0, 3600.0, 15.0) + NOW
    onset, noise = NOW + 2100, np.random.default_rng(1)
    errors = noise.normal(0.6, 0.1, times.size) + np.clip((times - onset) / 60 * 8, 0, 67)
    pool = noise.normal(20, 1.5, times.size) + np.clip((times - onset) / 20, 0, 30)
    shown = [
        Series("gateway", "error_pct", times, errors, "%"),
        Series("cart", "db_pool_in_use", times, pool, "connections"),
    ]
    marks = [TimeMark("change", onset - 142), TimeMark("onset", onset)]
    marks.append(TimeMark("alert", onset + 90))
    return png(chart(shown, [], Window(start=NOW, end=NOW + 3600), onset, marks))


def pictures(found: Mapping[str, Recorded]) -> None:
    """Draw the cards by a browser."""
    (PICTURES / "series.png").write_bytes(series())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "cards.html"
        place.write_text(cards(found, (PICTURES / "series.png").as_uri()), encoding="utf-8")
        with opened(Path(folder) / "profile") as tab:
            tab.open(place.as_uri(), 1120)
            tab.screenshot(PICTURES / "cards.png")


if __name__ == "__main__":
    conversations = {name: recorded(name) for name in WORLDS}
    PAGE.write_text(page(conversations), encoding="utf-8")
    if "--pictures" in sys.argv:
        pictures(conversations)
