"""What a target of notices is: its kind, where its secrets are, when it is left in peace."""

from datetime import datetime, time, timedelta
from typing import Annotated, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from copilot.alerts.maintenance import WeeklyHours
from copilot.types.notice import Moment
from copilot.types.secret_place import SecretPlace
from prompts import Language
from tools.clusterer import Matcher
from tools.clusterer.mute import DAYS, Weekday, Zone
from tools.types import FrozenModel, Timestamp


def _condition(given: object) -> object:
    return Matcher.parse(given) if isinstance(given, str) else given


Condition = Annotated[Matcher, BeforeValidator(_condition)]


class QuietHours(WeeklyHours):
    """Hours in which a target is told nothing but what a condition of `but` holds for."""

    but: tuple[Condition, ...] = ()


class DigestHours(FrozenModel):
    """What meets all conditions of `match` is kept, and told together at the times of `at`.

    The moments of `at_once` are not kept: a plan is over when nobody answers it for a while.
    """

    match: tuple[Condition, ...] = Field(min_length=1)
    at: tuple[Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")], ...] = Field(
        min_length=1
    )
    days: tuple[Weekday, ...] = Field(default=DAYS, min_length=1)
    zone: Zone = "UTC"
    at_once: tuple[Moment, ...] = ("plan", "edited")

    def after(self, now: Timestamp) -> Timestamp:
        """When the next one is due, by the clock of the zone."""
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(now, zone).date()
        coming = [today + timedelta(days=ahead) for ahead in range(8)]
        times = (
            datetime.combine(day, time.fromisoformat(one), tzinfo=zone).timestamp()
            for day in coming
            if DAYS[day.weekday()] in self.days
            for one in self.at
        )
        return min(one for one in times if one > now)


class Channel(FrozenModel):
    """What every target has; `most_per_incident` bounds messages, edits of one are not counted.

    `each_change`: it is read by a program, which is told every change by itself and at once. Of a
    `person` it is told where routes say `oncall` and they are on call.
    """

    each_change: ClassVar[bool] = False

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    person: str = Field(default="", max_length=200)
    language: Language = "en"
    quiet: QuietHours | None = None
    digest: DigestHours | None = None
    most_per_incident: int = Field(default=12, ge=2, le=100)


class AppriseChannel(Channel):
    """Anything that Apprise speaks, by its address."""

    kind: Literal["apprise"]
    url: SecretPlace


class WebhookChannel(Channel):
    """Anything of your own: JSON, signed with HMAC-SHA256."""

    each_change: ClassVar[bool] = True

    kind: Literal["webhook"]
    url: SecretPlace
    secret: SecretPlace


class AlertmanagerChannel(Channel):
    """An Alertmanager, which holds each incident as an alert; a password may stand in its URL."""

    each_change: ClassVar[bool] = True

    kind: Literal["alertmanager"]
    url: SecretPlace


class GrafanaChannel(Channel):
    """The annotations of a Grafana; `api` is its address and `/api`."""

    each_change: ClassVar[bool] = True

    kind: Literal["grafana"]
    token: SecretPlace
    api: str = Field(pattern=r"^https?://\S+/api/?$")


class AnsweredChannel(Channel):
    """One in which people decide by buttons, and ask, where it has what `opened_by` names.

    `people` are users of the platform and the names of their accounts.
    """

    opened_by: ClassVar[tuple[str, ...]]

    people: dict[str, str] = Field(default_factory=dict)
    by_email: bool = False

    @property
    def answers(self) -> bool:
        """Whether its messages have buttons."""
        return any(getattr(self, name) for name in self.opened_by)

    @model_validator(mode="after")
    def _is_opened(self) -> Self:
        if (self.people or self.by_email) and not self.answers:
            needed = " or ".join(self.opened_by)
            raise ValueError(f"people are named, and nothing is asked here without {needed}")
        return self


class SlackChannel(AnsweredChannel):
    """A Slack app with `chat:write`, in one channel; its messages are edited in place.

    It is answered by its `signing_secret`, or over Socket Mode by an `app_token`. With `by_email`
    people may be confirmed addresses, too.
    """

    opened_by: ClassVar[tuple[str, ...]] = ("signing_secret", "app_token")

    kind: Literal["slack"]
    token: SecretPlace
    channel: str = Field(min_length=2)
    signing_secret: SecretPlace | None = None
    app_token: SecretPlace | None = None
    api: str = "https://slack.com/api"


class FeishuChannel(AnsweredChannel):
    """A Feishu or Lark app with a robot, in one chat; its cards are brought up to date.

    It is answered by its `encrypt_key` and `verification_token`, or over a `long_connection`;
    `people` are by `open_id`.
    """

    opened_by: ClassVar[tuple[str, ...]] = ("encrypt_key", "long_connection")

    kind: Literal["feishu"]
    app_id: str = Field(min_length=2)
    app_secret: SecretPlace
    chat_id: str = Field(min_length=2)
    encrypt_key: SecretPlace | None = None
    verification_token: SecretPlace | None = None
    long_connection: bool = False
    by_email: Literal[False] = False
    api: str = "https://open.feishu.cn/open-apis"

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.encrypt_key is None) != (self.verification_token is None):
            raise ValueError("buttons need both encrypt_key and verification_token")
        return self

    @property
    def sealing(self) -> tuple[SecretPlace, SecretPlace] | None:
        """What its requests are signed and encrypted with."""
        key, token = self.encrypt_key, self.verification_token
        return (key, token) if key and token else None


class DingTalkAppChannel(AnsweredChannel):
    """A DingTalk app with a robot, in one group; its cards are brought up to date, and answered
    over stream mode.

    `template` is the card of docs/notify.md, `people` are by `userId`.
    """

    opened_by: ClassVar[tuple[str, ...]] = ("client_secret",)

    kind: Literal["dingtalk_app"]
    client_id: str = Field(min_length=2)
    client_secret: SecretPlace
    corp_id: str = Field(min_length=2)
    conversation: str = Field(min_length=2)
    template: str = Field(min_length=2)
    by_email: Literal[False] = False
    api: str = "https://api.dingtalk.com"
    files: str = "https://oapi.dingtalk.com"


class WeComAppChannel(AnsweredChannel):
    """A WeCom app, which writes to users, parties or tags; it is answered by its `token` and
    `aes_key`, `people` are by `UserID`.
    """

    opened_by: ClassVar[tuple[str, ...]] = ("token",)

    kind: Literal["wecom_app"]
    corp_id: str = Field(min_length=2)
    agent_id: int = Field(ge=1)
    secret: SecretPlace
    users: tuple[str, ...] = ()
    parties: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    token: SecretPlace | None = None
    aes_key: SecretPlace | None = None
    by_email: Literal[False] = False
    api: str = "https://qyapi.weixin.qq.com/cgi-bin"

    @model_validator(mode="after")
    def _reaches_somebody(self) -> Self:
        if not (self.users or self.parties or self.tags):
            raise ValueError("name whom it writes to: users (or '@all'), parties or tags")
        if (self.token is None) != (self.aes_key is None):
            raise ValueError("buttons need both token and aes_key")
        return self

    @property
    def sealing(self) -> tuple[SecretPlace, SecretPlace] | None:
        """What its requests are signed and encrypted with."""
        return (self.token, self.aes_key) if self.token and self.aes_key else None


class DingTalkChannel(Channel):
    """A robot of a DingTalk group; `secret` where its addresses have to be signed."""

    kind: Literal["dingtalk"]
    url: SecretPlace
    secret: SecretPlace | None = None


class RobotChannel(Channel):
    """A robot of a WeCom group, or a workflow of Teams."""

    kind: Literal["wecom", "teams"]
    url: SecretPlace


AppChannel = SlackChannel | FeishuChannel | DingTalkAppChannel | WeComAppChannel
AnyChannel = Annotated[
    AlertmanagerChannel
    | AppriseChannel
    | GrafanaChannel
    | WebhookChannel
    | AppChannel
    | DingTalkChannel
    | RobotChannel,
    Field(discriminator="kind"),
]
