"""Grafana: an incident is a region on the graphs, from its onset to its end; each step is a point.

Source: grafana.com/docs/grafana/v12.4/developer-resources/api-reference/http-api/annotations. Its
API knows no idempotency key: each annotation has a tag of its own, and is looked for by it before
it is made. An end cannot be taken out again, so what begins again is another region.
"""

import json
from collections.abc import Mapping
from html import escape
from urllib.parse import urlencode

from pydantic import JsonValue, SecretStr, TypeAdapter

from copilot.ports import NoticeError
from copilot.surfaces.notify.channel_http import ChannelHttp, Method
from copilot.surfaces.notify.doors import keyed
from copilot.surfaces.notify.robots import READ_ON, Card
from copilot.types.notice import Notice
from prompts import Language
from tools.types import FrozenModel, Timestamp

LONGEST_TAGS = 500
"""Characters of all tags as JSON. Source: `[annotations] tags_length` of Grafana's defaults.ini."""

_LONGEST_TAG = 80
_OVER = frozenset({"recovered", "resolved"})


class _Region(FrozenModel):
    """The annotation of an incident: its number there, its own tag, and its earliest start."""

    id: int
    tag: str
    earliest: Timestamp = 0.0


_REGION = TypeAdapter(_Region)


class GrafanaSender:
    """Keeps annotations of the organization that the token is of; needs a token that may read,
    create and write them.
    """

    def __init__(self, http: ChannelHttp, api: str, token: SecretStr, language: Language) -> None:
        self._http, self._api, self._token = http, api.rstrip("/"), token
        self._language: Language = language

    def send(self, notice: Notice, key: str, before: str) -> str:
        """Draw or change the region of an incident, and draw a step; what is told together is
        none.
        """
        if notice.moment in ("storm", "digest"):
            return ""
        region = _REGION.validate_json(before) if before else None
        if region is None or notice.moment == "reopened":
            earliest = notice.at if notice.moment == "reopened" else 0.0
            region = self._drawn(notice, _Region(id=0, tag=_own_tag(key), earliest=earliest))
        else:
            region = self._changed(notice, region)
        if notice.moment == "step":
            tag = _own_tag(f"{key}/step")
            at: Card = {"time": _ms(notice.at), "text": self._text(notice.heads, (), notice)}
            self._once({**at, "tags": _tags(notice, tag, "step")}, tag)
        return region.model_dump_json()

    def _drawn(self, notice: Notice, region: _Region) -> _Region:
        number = self._once(self._annotation(notice, region), region.tag)
        return region.model_copy(update={"id": number})

    def _changed(self, notice: Notice, region: _Region) -> _Region:
        try:
            self._call("PATCH", f"/annotations/{region.id}", self._annotation(notice, region))
        except NoticeError as error:
            # Deleted there, or of another Grafana; a token that may not write finds it still.
            if error.fault != "target" or self._found(region.tag) == region.id:
                raise
            return self._drawn(notice, region)
        return region

    def _once(self, annotation: Card, tag: str) -> int:
        """Its number; made where it is not there yet."""
        found = self._found(tag)
        return found or _number(self._call("POST", "/annotations", annotation))

    def _found(self, tag: str) -> int:
        """The number of the annotation with that tag; 0 where there is none."""
        told = self._call("GET", f"/annotations?{urlencode({'tags': tag, 'limit': 1})}")
        if not isinstance(told, list):
            raise NoticeError("again", "the answer is no list of annotations")
        return _number(told[0]) if told else 0

    def _annotation(self, notice: Notice, region: _Region) -> Card:
        began = max(notice.at if notice.onset is None else notice.onset, region.earliest)
        lines = notice.lines[self._language]
        shown: Card = {"time": _ms(began), "text": self._text(notice.heads, lines, notice)}
        if notice.moment in _OVER:
            shown["timeEnd"] = _ms(max(began, notice.at))
        return {**shown, "tags": _tags(notice, region.tag)}

    def _text(self, heads: Mapping[Language, str], lines: tuple[str, ...], notice: Notice) -> str:
        """HTML, which is what a graph shows of it."""
        said = [escape(one.replace("**", "")) for one in (heads[self._language], *lines)]
        if link := notice.links.get(self._language, ""):
            said.append(f'<a href="{escape(link)}">{escape(READ_ON[self._language])}</a>')
        return "<br>".join(said)

    def _call(self, method: Method, path: str, annotation: Card | None = None) -> JsonValue:
        headers = {"authorization": f"Bearer {self._token.get_secret_value()}"}
        body = b"" if annotation is None else json.dumps(annotation, ensure_ascii=False).encode()
        return self._http.post(f"{self._api}{path}", body, headers, method=method)


def _own_tag(key: str) -> str:
    return f"change:{keyed(key)[:16]}"


def _tags(notice: Notice, own: str, *more: str) -> list[JsonValue]:
    """What graphs filter by; as many services as there is room for."""
    about = {"severity": notice.severity, "kind": notice.kind, "incident": notice.incident_id}
    known = [f"{name}:{value}"[:_LONGEST_TAG] for name, value in about.items() if value]
    found: list[JsonValue] = ["copilot", own, *more, *known]
    for name in notice.services:
        longer = [*found, f"service:{name}"[:_LONGEST_TAG]]
        found = longer if len(json.dumps(longer)) <= LONGEST_TAGS else found
    return found


def _number(told: JsonValue) -> int:
    found = told.get("id") if isinstance(told, dict) else None
    if not isinstance(found, int):
        raise NoticeError("again", "the answer names no annotation")
    return found


def _ms(at: Timestamp) -> int:
    return int(at * 1000)
