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

    `each_change`: it is read by a program, which is told every change by itself and at once.
    """

    each_change: ClassVar[bool] = False

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
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


class SlackChannel(Channel):
    """A Slack app with `chat:write`, in one channel; its messages are edited in place.

    With its `signing_secret` people decide by buttons, and ask. `people` are users (or, with
    `by_email`, confirmed addresses of theirs) and the names of their accounts.
    """

    kind: Literal["slack"]
    token: SecretPlace
    channel: str = Field(min_length=2)
    signing_secret: SecretPlace | None = None
    people: dict[str, str] = Field(default_factory=dict)
    by_email: bool = False
    api: str = "https://slack.com/api"


class FeishuChannel(Channel):
    """A Feishu or Lark app with a robot, in one chat; its cards are brought up to date.

    With its `encrypt_key` and `verification_token` people decide by buttons, and ask; `people` are
    their `open_id` and the names of their accounts.
    """

    kind: Literal["feishu"]
    app_id: str = Field(min_length=2)
    app_secret: SecretPlace
    chat_id: str = Field(min_length=2)
    encrypt_key: SecretPlace | None = None
    verification_token: SecretPlace | None = None
    people: dict[str, str] = Field(default_factory=dict)
    api: str = "https://open.feishu.cn/open-apis"

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.encrypt_key is None) != (self.verification_token is None):
            raise ValueError("buttons need both encrypt_key and verification_token")
        return self


class DingTalkChannel(Channel):
    """A robot of a DingTalk group; `secret` where its addresses have to be signed."""

    kind: Literal["dingtalk"]
    url: SecretPlace
    secret: SecretPlace | None = None


class RobotChannel(Channel):
    """A robot of a WeCom group, or a workflow of Teams."""

    kind: Literal["wecom", "teams"]
    url: SecretPlace


AnyChannel = Annotated[
    AlertmanagerChannel
    | AppriseChannel
    | WebhookChannel
    | SlackChannel
    | FeishuChannel
    | DingTalkChannel
    | RobotChannel,
    Field(discriminator="kind"),
]
