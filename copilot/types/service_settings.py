"""The settings of runs, of safety and of growth; parts of `copilot.settings`."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from copilot.types.people import Role


class RunSettings(BaseSettings):
    """How long what is waited for, how often it is looked at, and whose clock is believed."""

    catalogue: Path | None = Field(
        default=None,
        description="Backstage descriptors (catalog-info.yaml, or a folder of them): who owns a "
        "service and is on call for it; its dependencies, where no source knows the call graph.",
    )
    looks_file: Path | None = Field(
        default=None,
        description="YAML file of further looks: tools of MCP servers (kubectl, Grafana, GitHub) "
        "and JSON over HTTP, for what has no adapter; docs/looks.md.",
    )
    plan_ttl_s: float = Field(
        default=900, gt=0, description="How long a proposed plan may be approved, in seconds."
    )
    plans_limit: int = Field(
        default=3, ge=1, le=10, description="Most plans proposed in one run of an incident."
    )
    refresh_s: float = Field(
        default=30,
        ge=0,
        description="Least time between two investigations of one incident when alerts join it.",
    )
    verify_limit_s: float = Field(
        default=300, gt=0, description="How long a recovery is waited for before the next plan."
    )
    settle_s: float = Field(
        default=30,
        ge=0,
        description="No plan rests on what was seen sooner than this after the first alert; the "
        "brief does not wait.",
    )
    forecast_every_s: float = Field(
        default=900, ge=0, description="Seconds between two looks at what will be full; 0: never."
    )
    stop_grace_s: float = Field(
        default=25,
        ge=0,
        description="How long a running step may take to end after SIGTERM; then it is cut off and "
        "a person is asked whether it ran. Keep it below what your supervisor waits before SIGKILL "
        "(Kubernetes: terminationGracePeriodSeconds, 30).",
    )
    clock_skew_s: float = Field(
        default=5,
        ge=0,
        description="How far a sender's clock may be ahead of ours; an alert dated later than that "
        "began when it arrived.",
    )


class NotifySettings(BaseSettings):
    """Who is told of incidents, and where they read on."""

    notify_file: Path | None = Field(
        default=None,
        description="YAML or TOML file of channels and of who is told what (docs/notify.md); "
        "empty: nobody is told.",
    )
    on_call_file: Path | None = Field(
        default=None,
        description="YAML or TOML file of on-call schedules, or a calendar (.ics): who is on call "
        "now (docs/console.md); empty: nobody says.",
    )
    evals_report: Path | None = Field(
        default=None,
        description="HTML file that the evals wrote (docs/evals.md), for the console's page Evals.",
    )
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$",
        description="Address at which people reach this service, for links in what they are told.",
    )


class SafetySettings(BaseSettings):
    """Keys, bounds, deadlines, and where the head of the journal is noted."""

    redaction_key: SecretStr | None = Field(
        default=None,
        description="Key by which a secret always gets the same token, so that silences and "
        "grouping hold; the same for all that share a database. Empty: `redaction.key` in the "
        "data folder, made at first use.",
    )
    max_body_bytes: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="Largest request body accepted."
    )
    max_alerts: int = Field(
        default=10_000, ge=1, description="Largest number of alerts accepted in one request."
    )
    telemetry_timeout_s: float = Field(
        default=20, gt=0, le=300, description="Longest wait for one answer of a telemetry server."
    )
    gather_s: float = Field(
        default=10,
        gt=0,
        le=300,
        description="Longest wait for all telemetry sources together, asked side by side; the "
        "brief says which did not answer.",
    )
    otlp_traces_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Where traces of our own runs are posted by OTLP over HTTP, such as "
        "http://collector:4318/v1/traces; empty: nowhere. Needs the extra `otlp`; a credential "
        "goes by OTEL_EXPORTER_OTLP_HEADERS.",
    )
    journal_key: Path | None = Field(
        default=None,
        description="File with the key that signs the journal's head; best where the database's "
        "owner cannot read it. Empty: `journal.key` in the data folder, made at first use.",
    )
    journal_anchor: str = Field(
        default="",
        description="Where the signed head is noted: a file that only grows, or an http(s) address "
        "that it is posted to; empty: nowhere.",
    )
    journal_anchor_every_s: float = Field(
        default=300, ge=10, description="Seconds between two such notes, where the head has moved."
    )


class ScaleSettings(BaseSettings):
    """How work is shared among processes, and how long what they leave is kept."""

    watch_shards: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Into how many parts the watch is cut by service, one a `copilot watch`.",
    )
    keep_incidents_days: float = Field(
        default=90, gt=0, description="How long closed incidents are kept, with all that is theirs."
    )
    keep_evidence_days: float = Field(
        default=30,
        gt=0,
        description="How long they keep the evidence that neither brief, ranking nor report cites.",
    )
    keep_alerts_days: float = Field(
        default=14, gt=0, description="How long alerts are kept that belong to no incident."
    )
    keep_journal_days: float = Field(
        default=0,
        ge=0,
        description="After how long rows of the journal go to files in the data folder, where its "
        "chain goes on; 0: never.",
    )
    keep_bytes: int = Field(
        default=20 * 2**30,
        ge=0,
        description="Most bytes of the store; where it has more, all is kept half as long, down to "
        "a day; 0: no limit.",
    )
    prune_every_s: float = Field(
        default=3600, ge=10, description="Seconds between two looks at what is too old."
    )
    rehearse_every_s: float = Field(
        default=0,
        ge=0,
        description="Seconds between two rehearsals of what runners_file lists in [[rehearse]]; "
        "what would be refused goes into the journal; 0: never.",
    )


class SignInSettings(BaseSettings):
    """By whose word people sign in, where it is not a password of ours."""

    oidc_issuer: str = Field(
        default="",
        pattern=r"^(https://[^\s]+|http://(127\.0\.0\.1|localhost)(:\d+)?(/[^\s]*)?)?$",
        description="OpenID provider by whose word people sign in, as it names itself (https); "
        "needs public_url and the oidc extra.",
    )
    oidc_client_id: str = Field(default="", description="What the provider calls this service.")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="The secret it gave; empty: PKCE alone."
    )
    oidc_scopes: str = Field(default="openid profile email", description="Scopes asked for.")
    oidc_name_claim: str = Field(
        default="preferred_username", description="Claim of the name; else email, else sub."
    )
    oidc_groups_claim: str = Field(default="groups", description="Claim that lists the groups.")
    group_roles: dict[str, Role] = Field(
        default={},
        description='Role of each group, as a JSON object ({"sre": "approver"}); the highest '
        "counts, and who is in none is not let in. `*` is everybody.",
    )
    proxy_addresses: tuple[str, ...] = Field(
        default=(),
        description="Addresses or networks, as a JSON list, of the proxy whose word counts for who "
        "somebody is; nobody else's headers are looked at.",
    )
    proxy_user_header: str = Field(
        default="", description="Header in which that proxy names the person (Remote-User)."
    )
    proxy_groups_header: str = Field(
        default="", description="Header in which it lists their groups, with commas between."
    )

    @property
    def signs_in_outside(self) -> bool:
        """Whether people sign in by a provider's or a proxy's word."""
        return bool(self.oidc_issuer or self.proxy_user_header)
