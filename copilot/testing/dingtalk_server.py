"""DingTalk on the loopback, its robots of groups and its apps, as its documents say."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from copilot.testing.channels import ChatServer, LineServer
from copilot.testing.strict_http import HttpReply, ReceivedRequest


class DingTalkServer(ChatServer):
    """A signed robot of a group: open.dingtalk.com/document/robots/custom-robot-access."""

    name = "dingtalk"
    secret = "SECdingtalk-robot-secret"
    clock: Callable[[], float] = staticmethod(time.time)

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """200 always; `errcode` says what became of it."""
        if asked.one("access_token") != "fake-token":
            return HttpReply(200, {"errcode": 300005, "errmsg": "token is not exist"})
        millis, sign = asked.one("timestamp"), asked.one("sign")
        seal = hmac.new(
            self.secret.encode(), f"{millis}\n{self.secret}".encode(), hashlib.sha256
        ).digest()
        late = not millis.isdigit() or abs(self.clock() - int(millis) / 1000) > 3600
        if late or base64.b64encode(seal).decode() != sign:
            return HttpReply(200, {"errcode": 310000, "errmsg": "sign not match"})
        if self.answers:
            return HttpReply(200, {"errcode": self.answers.popleft(), "errmsg": "refused"})
        told = json.loads(asked.body)
        card = told.get(told["msgtype"], {})
        wanted = {"actionCard": ("title", "text", "singleTitle", "singleURL")}
        if not all(card.get(one) for one in wanted.get(told["msgtype"], ("title", "text"))):
            return HttpReply(200, {"errcode": 40035, "errmsg": "invalid parameter"})
        self.post(told)
        return HttpReply(200, {"errcode": 0, "errmsg": "ok"})


class DingTalkAppServer(LineServer):
    """An app's token, cards, messages of its robot, and stream mode:
    open.dingtalk.com/document/orgapp: create-and-deliver-cards, interactive-card-update-interface,
    chatbots-send-one-on-one-chat-messages-in-batches, event-callback-card, stream.
    """

    name = "dingtalk_app"
    client_id, client_secret = "dingfakeclient", "dingtalk-client-secret"
    corp, group, template = "dingours", "cidsre==", "11aa.schema"

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0
        self.whispers: list[tuple[str, str]] = []

    def clear(self) -> None:
        """Forget what was delivered and said."""
        super().clear()
        self.whispers.clear()

    def expire(self) -> None:
        """No token of before counts any more."""
        self.tokens += 1

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        """200 with a result, or a status of 400 and above with `code` and `message`."""
        if asked.path == "/media/upload" and asked.one("access_token") == f"t-{self.tokens}":
            self.pictures.append(asked.file)
            return HttpReply(200, {"errcode": 0, "errmsg": "ok", "media_id": "@lADP"})
        told = json.loads(asked.body)
        if asked.path == "/session":  # where a question is answered; of oapi's form
            self.threads.setdefault(asked.one("session"), []).append(told["markdown"]["text"])
            return HttpReply(200, {"errcode": 0, "errmsg": "ok"})
        if asked.path in ("/v1.0/oauth2/accessToken", "/v1.0/gateway/connections/open"):
            return self._opened(asked.path, told)
        if asked.headers.get("x-acs-dingtalk-access-token") != f"t-{self.tokens}":
            return _refused("InvalidAuthentication", "不合法的access_token")
        if self.answers:
            return _refused(self.answers.popleft(), "refused")
        if asked.path == "/v1.0/robot/oToMessages/batchSend":
            (user,) = told["userIds"]
            self.whispers.append((user, json.loads(told["msgParam"])["content"]))
            return HttpReply(200, {"processQueryKey": "q"})
        return self._card(asked, told)

    def _opened(self, path: str, told: dict[str, Any]) -> HttpReply:
        stream = path.endswith("open")
        ours = {"clientId": self.client_id, "clientSecret": self.client_secret}
        if not stream:
            ours = {"appKey": self.client_id, "appSecret": self.client_secret}
        if {name: told.get(name) for name in ours} != ours:
            return _refused("invalidClientIdOrSecret", "无效的clientId或者clientSecret")
        if stream:
            topics = {one["topic"] for one in told["subscriptions"] if one["type"] == "CALLBACK"}
            if not topics:
                return _refused("param.error", "subscriptions is empty")
            return HttpReply(200, {"endpoint": self.line_url, "ticket": self.ticket})
        self.tokens += 1
        return HttpReply(200, {"accessToken": f"t-{self.tokens}", "expireIn": 7200})

    def _card(self, asked: ReceivedRequest, told: dict[str, Any]) -> HttpReply:
        values = told["cardData"]["cardParamMap"]
        name = told["outTrackId"]
        if not all(isinstance(one, str) for one in values.values()):
            return _refused("param.error", "cardParamMap takes texts")
        if asked.method == "PUT" and asked.path == "/v1.0/card/instances":
            if name not in self.messages:
                return _refused("param.card.notExist", "card not exist")
            self.messages[name].append(values)
            return HttpReply(200, {"success": True, "result": True})
        if asked.path != "/v1.0/card/instances/createAndDeliver":
            return _refused("InvalidAction.NotFound", "Specified api is not found", 404)
        if name in self.messages or told["cardTemplateId"] != self.template:
            return _refused("param.error", "outTrackId exists, or no such template")
        if told["callbackType"] != "STREAM":
            return _refused("param.error", "callbackRouteKey is missing")
        there = told["openSpaceId"] == f"dtv1.card//IM_GROUP.{self.group}"
        there &= told["imGroupOpenDeliverModel"]["robotCode"] == self.client_id
        if there:
            self.messages[name] = [values]
        space = {"spaceType": "IM_GROUP", "success": there, "errorMsg": "" if there else "no robot"}
        result = {"outTrackId": name, "deliverResults": [space]}
        return HttpReply(200, {"success": True, "result": result})

    def buttons(self, message: str) -> dict[str, str]:
        """The values of the buttons that a card shows now, by their choice."""
        shown = self.messages[message][-1]
        return {one: shown[one] for one in ("approve", "reject", "take") if shown.get(one)}

    def pressed(self, value: str, user: str, key: str, corp: str = "dingours") -> str:
        """The frame of a press of a card's button."""
        private = {"cardPrivateData": {"actionIds": ["b1"], "params": {"value": value}}}
        press = {
            "type": "actionCallback", "corpId": corp, "userId": user, "userIdType": 1,
            "extension": "{}", "outTrackId": "x", "spaceType": "im", "content": json.dumps(private),
        }  # fmt: skip
        return self.framed("CALLBACK", "/v1.0/card/instances/callback", key, press)

    def said(self, text: str, user: str, key: str, corp: str = "dingours") -> str:
        """The frame of a text that somebody writes to the robot in its group."""
        told = {
            "msgtype": "text", "text": {"content": f" {text}"}, "msgId": key, "senderCorpId": corp,
            "conversationId": self.group, "conversationType": "2", "senderNick": user,
            "senderStaffId": user, "sessionWebhook": f"{self.url}/session?session={key}",
            "robotCode": self.client_id, "chatbotCorpId": self.corp,
        }  # fmt: skip
        return self.framed("CALLBACK", "/v1.0/im/bot/messages/get", key, told)

    def framed(self, kind: str, topic: str, key: str, data: Mapping[str, Any]) -> str:
        """A frame of stream mode."""
        headers = {
            "topic": topic, "messageId": key, "contentType": "application/json", "time": "1",
            "appId": "a", "connectionId": "c",
        }  # fmt: skip
        frame = {"specVersion": "1.0", "type": kind, "headers": headers, "data": json.dumps(data)}
        return json.dumps(frame)


def _refused(code: str, message: str, status: int = 400) -> HttpReply:
    return HttpReply(status, {"code": code, "message": message, "requestid": "r"})
