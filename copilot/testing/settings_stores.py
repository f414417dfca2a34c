"""Servers of flags and stored values, of the part of their API that a switch speaks.

Source: the documents named in `copilot/hands/switch_apis.toml`. What etcd and Unleash answer was
compared with etcd 3.4 and Unleash 5.12. A wrong token is refused, and so is an unknown path.
"""

import base64
import hashlib
import json
from typing import Any

from copilot.testing.strict_http import HttpReply, ReceivedRequest, StrictServer

TOKEN = "an-open-token-of-the-tests"
_MISSING = HttpReply(404, {"message": "not found"})


class StoredValueServer(StrictServer):
    """Holds one value and its revision; `header` is what carries the token."""

    header, scheme = "authorization", ""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value, self.revision = value, 7

    def reply(self, asked: ReceivedRequest) -> HttpReply:
        if asked.headers.get(self.header) != f"{self.scheme}{TOKEN}":
            return HttpReply(401, {"message": f"who is {asked.headers.get(self.header)}?"})
        return self.stored(asked)

    def stored(self, asked: ReceivedRequest) -> HttpReply:
        """What the product answers to somebody it knows."""
        raise NotImplementedError

    def put(self, value: Any) -> None:
        """Change it, as anybody may."""
        self.value, self.revision = value, self.revision + 1


class ConsulServer(StoredValueServer):
    """`/v1/kv/shop/retries`: values in base64, `?cas=` answers true or false."""

    header = "x-consul-token"

    def stored(self, asked: ReceivedRequest) -> HttpReply:
        if asked.path != "/v1/kv/shop/retries":
            return HttpReply(404, b"")
        if asked.method == "PUT":
            same = asked.one("cas") == str(self.revision)
            if same:
                self.put(asked.body.decode())
            return HttpReply(200, same)
        written = base64.b64encode(self.value.encode()).decode()
        entry = {"Key": "shop/retries", "Value": written, "ModifyIndex": self.revision, "Flags": 0}
        return HttpReply(200, [entry])


class EtcdServer(StoredValueServer):
    """`/v3/kv/range` and `/v3/kv/txn` of the gateway: 64-bit numbers are texts, no keys no kvs."""

    def stored(self, asked: ReceivedRequest) -> HttpReply:
        body = json.loads(asked.body)
        key = base64.b64encode(b"shop/retries").decode()
        head = {"header": {"revision": str(self.revision)}}
        if (asked.method, asked.path) == ("POST", "/v3/kv/range"):
            written = base64.b64encode(self.value.encode()).decode()
            entry = {"key": key, "value": written, "mod_revision": str(self.revision)}
            return HttpReply(200, head | ({"kvs": [entry]} if body["key"] == key else {}))
        if (asked.method, asked.path) != ("POST", "/v3/kv/txn"):
            return _MISSING
        (compared,), (done,) = body["compare"], body["success"]
        wanted = {"key": key, "target": "MOD", "result": "EQUAL"}
        if compared != {**wanted, "mod_revision": str(self.revision)}:
            return HttpReply(200, head)  # false is left out
        self.put(base64.b64decode(done["request_put"]["value"]).decode())
        return HttpReply(200, head | {"succeeded": True})


class NacosServer(StoredValueServer):
    """`/nacos/v1/cs/configs`: the content as text; the header casMd5 binds a change."""

    scheme = "Bearer "

    def stored(self, asked: ReceivedRequest) -> HttpReply:
        names = [asked.one(one) for one in ("tenant", "group", "dataId")]
        if asked.path != "/nacos/v1/cs/configs" or names != ["prod", "SHOP", "retries.txt"]:
            return HttpReply(404, b"config data not exist")
        if asked.method == "GET":
            return HttpReply(200, self.value.encode())
        same = asked.headers.get("casmd5") == hashlib.md5(self.value.encode()).hexdigest()
        if not same:
            return HttpReply(500, {"message": "Cas publish fail, server md5 may have changed."})
        self.put(asked.one("content"))
        return HttpReply(200, True)


class ApolloServer(StoredValueServer):
    """An item that takes effect when its namespace is released."""

    place = "/openapi/v1/envs/PRO/apps/shop/clusters/default/namespaces/application"

    def __init__(self, value: Any) -> None:
        super().__init__(value)
        self.draft = value

    def stored(self, asked: ReceivedRequest) -> HttpReply:
        match (asked.method, asked.path.removeprefix(self.place)):
            case "GET", "/releases/latest":
                return HttpReply(200, {"configurations": {"retries": self.value}})
            case "PUT", "/items/retries":
                body = json.loads(asked.body)
                if set(body) < {"key", "value", "dataChangeLastModifiedBy"}:
                    return HttpReply(400, {"message": "dataChangeLastModifiedBy is missing"})
                self.draft = body["value"]
                return HttpReply(200, b"")
            case "POST", "/releases" if {"releaseTitle", "releasedBy"} <= set(
                json.loads(asked.body)
            ):
                self.put(self.draft)
                return HttpReply(200, {"configurations": {"retries": self.value}})
        return _MISSING


class UnleashServer(StoredValueServer):
    """A flag in an environment; a change answers 200 without a body."""

    def stored(self, asked: ReceivedRequest) -> HttpReply:
        place = "/api/admin/projects/default/features/new-checkout/environments/production"
        if (asked.method, asked.path) == ("GET", place):
            flag = {"name": "new-checkout", "environment": "production", "strategies": []}
            return HttpReply(200, {**flag, "enabled": self.value})
        if asked.method == "POST" and asked.path in (f"{place}/on", f"{place}/off"):
            self.put(asked.path.endswith("/on"))
            return HttpReply(200, b"")
        return _MISSING


class LaunchDarklyServer(StoredValueServer):
    """A flag whose JSON patch is refused with 409 where its test does not hold."""

    def stored(self, asked: ReceivedRequest) -> HttpReply:
        if asked.path != "/api/v2/flags/shop/new-checkout":
            return _MISSING
        where = "/environments/production/on"
        if asked.method == "PATCH":
            tested, replaced = json.loads(asked.body)
            if tested != {"op": "test", "path": where, "value": self.value}:
                return HttpReply(409, {"code": "conflict"})
            assert (replaced["op"], replaced["path"]) == ("replace", where)
            self.put(replaced["value"])
        return HttpReply(200, {"environments": {"production": {"on": self.value}}})
