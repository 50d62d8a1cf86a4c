"""Typed settings, read from environment variables `CLAIMSCRUB_*`; nothing else in the project reads the environment.

Each secret may instead stand in a file that the variable with `_FILE` behind its name names, as Docker and Kubernetes
hand secrets over.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import DirectoryPath, Field, FilePath, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from rules.engine.record import MOST_LINES

PREFIX = "CLAIMSCRUB_"
_LONGEST_SECRET = 65_536


class SettingsError(ValueError):
    """A setting is wrong; the message names the environment variable and what is expected."""


class Settings(BaseSettings):
    """Everything a deployment may set; `claimscrub settings` shows the values in force."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the code says, then files, then the environment, where a secret may be set to nothing."""
        secrets = {name: _secret_in(path, PREFIX + name.upper()) for name, path in secret_files().items()}
        return init_settings, InitSettingsSource(settings_cls, secrets), env_settings

    bootstrap_servers: str = Field(
        "localhost:9092", min_length=1, description="Kafka brokers, host:port, comma-separated."
    )
    group_id: str = Field("claimscrub", min_length=1, description="Consumer group of the workers.")
    instance_id: str = Field(
        "",
        max_length=200,
        pattern=r"^[A-Za-z0-9._-]*$",
        description="This worker's own name in the group, so that its partitions wait for it while it restarts; else"
        " they move at once.",
    )

    submitted_topic: str = Field("claims.submitted", description="Topic of the claim events.")
    cleared_topic: str = Field("claims.cleared", description="Topic of the claims without an error.")
    flagged_topic: str = Field("claims.flagged", description="Topic of the claims with an error, with the reasons.")
    deadletter_topic: str = Field("claims.deadletter", description="Topic of what is not a claim.")
    x12_topic: str = Field(
        "claims.x12", description="Topic of raw X12 837 text, split into claim events; empty to do without it."
    )
    repartition_topic: str = Field(
        "claims.repartition",
        description="Topic between workers: events that came to another partition than their member's, on their way.",
    )
    status_topic: str = Field("claims.status", description="Topic of what payers answered about earlier claims.")
    overrides_topic: str = Field(
        "claims.overrides", description="Topic of releases of flagged claims; kept for good, as the audit trail."
    )
    history_topic: str = Field("claims.history", description="Topic that holds the members' history; compacted.")
    partitions: int = Field(12, ge=1, description="Partitions of each topic, when `claimscrub topics create` makes it.")
    replication_factor: int = Field(
        -1, ge=-1, description="Replicas of each topic when made; -1 is the broker's default."
    )

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to speak to the brokers."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field("PLAIN", description="SASL mechanism.")
    sasl_username: str = Field("", description="SASL user.")
    sasl_password: SecretStr = Field(SecretStr(""), description="SASL password.")
    ssl_ca_file: FilePath | None = Field(None, description="CA certificates (PEM); the system's if not set.")
    ssl_certificate_file: FilePath | None = Field(None, description="Client certificate (PEM).")
    ssl_key_file: FilePath | None = Field(None, description="Client key (PEM).")
    ssl_key_password: SecretStr = Field(SecretStr(""), description="Password of the client key.")

    member_key_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret of the members' keys, the same for all workers and submitters of a deployment, for good.",
    )
    history_lines: int = Field(
        MOST_LINES, ge=100, le=5_000, description="Most service lines and claims that are remembered of one member."
    )

    contracts_folder: DirectoryPath | None = Field(
        None, description="Folder of contract overlays, one YAML file for each biller."
    )
    reference_folder: DirectoryPath | None = Field(
        None, description="Folder of own reference data, laid over the packaged: see claimscrub reference import."
    )
    rules_public_key_file: FilePath | None = Field(
        None,
        description="Ed25519 public keys (PEM): only a rule set signed with one of them is taken; any if not set.",
    )
    rules_signature_file: Path | None = Field(
        None, description="Its signature, as claimscrub rules sign writes it; goes with the public keys."
    )
    signing_key_password: SecretStr = Field(
        SecretStr(""), description="Password of the private key with which claimscrub rules sign signs; for it alone."
    )

    max_claim_bytes: int = Field(1_048_576, ge=1_024, description="Largest claim event; a larger one is a dead letter.")
    max_message_bytes: int = Field(
        2_097_152, ge=2_048, description="Largest message published; must exceed the claim's."
    )
    max_x12_bytes: int = Field(
        10_485_760,
        ge=1_024,
        le=500_000_000,
        description="Largest record of X12 text that is split; a larger one is a dead letter.",
    )
    delivery: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once", description="exactly_once: in transactions; at_least_once: a killed worker's claims come twice."
    )
    cleared_format: Literal["envelope", "claim"] = Field(
        "envelope",
        description="What the cleared topic carries: an envelope of claim and decision; or the claim as it came, the"
        " decision in a header.",
    )
    mode: Literal["enforce", "monitor"] = Field(
        "enforce",
        description="enforce: flagged claims are held back; monitor: every readable claim goes on, what would be"
        " flagged is published to the flagged topic as well.",
    )
    batch_records: int = Field(2_000, ge=1, description="Most claims of a batch, which is published in one go.")
    batch_bytes: int = Field(
        8_388_608, ge=1_024, description="Most bytes that a batch publishes, unless it is one claim."
    )
    batch_seconds: float = Field(
        0.25, ge=0, description="How long a batch may grow while more claims wait; with none waiting it goes at once."
    )
    batches_in_flight: int = Field(
        4, ge=1, description="Full batches fetched but not yet published before fetching pauses."
    )
    deadletter_run: int = Field(
        1_000,
        ge=0,
        description="Events that are looked back at to tell a flood of dead letters, as a bad deploy causes.",
    )
    deadletter_share: float = Field(
        0.5, gt=0, le=1, description="Share of dead letters among that many events that stops the worker."
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "none", description="Compression of what is published."
    )

    commit_interval_seconds: float = Field(1.0, gt=0, description="How often offsets are committed.")
    session_timeout_seconds: float = Field(30.0, gt=0, description="Without a heartbeat for this long a worker is out.")
    fetch_wait_seconds: float = Field(
        0.02, gt=0, description="How long the broker may hold a fetch while nothing comes."
    )
    startup_timeout_seconds: float = Field(60.0, ge=0, description="How long to wait for the brokers when starting.")
    stop_timeout_seconds: float = Field(
        10.0, ge=2, description="Within so long a worker stops, whatever the brokers do."
    )
    data_directory: Path | None = Field(
        None,
        description="Folder for the worker's files and its copy of the history; a temporary one if not set, and then"
        " the history is read from its topic at each start.",
    )

    tracing: bool = Field(
        False,
        description="Traces each event with OpenTelemetry, as the variables OTEL_* say; needs claimscrub[tracing].",
    )
    metrics_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address on which a worker serves /metrics, /healthz and /readyz, to whoever reaches it.",
    )
    metrics_port: int = Field(
        0,
        ge=0,
        le=65_000,
        description="Port of these, 0 for none; of several workers the first has the next port, and so on.",
    )
    console_host: str = Field("127.0.0.1", min_length=1, description="Address that the console listens on.")
    console_port: int = Field(8063, ge=0, le=65_535, description="Its port; 0 for any that is free.")
    console_token: SecretStr = Field(
        SecretStr(""),
        description="What to show at the console's door; without it, or a proxy's header, it listens to this machine"
        " only.",
    )
    console_user_header: str = Field(
        "",
        pattern=r"^[A-Za-z0-9-]*$",
        description="Header in which a reverse proxy names the user it has let in, such as X-Forwarded-User.",
    )
    console_proxies: str = Field(
        "127.0.0.1,::1", description="Addresses of the proxies whose header is believed, comma-separated."
    )
    console_hosts: str = Field(
        "",
        description="Names by which browsers reach the console, comma-separated; any if empty, but of this machine only"
        " while nothing is asked at the door.",
    )
    console_directory: Path | None = Field(
        None,
        description="Folder for what the console has read; a temporary one if not set, and then it reads the topics"
        " again at each start.",
    )
    console_days: int = Field(31, ge=2, le=3_660, description="How many days of outputs the console shows.")

    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console in a terminal, else JSON."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )
    log_claims: bool = Field(
        True, description="A line in the log for each flagged claim; dead letters always have one."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.max_message_bytes <= self.max_claim_bytes:
            raise ValueError(f"{PREFIX}MAX_MESSAGE_BYTES must be larger than {PREFIX}MAX_CLAIM_BYTES")
        if self.security_protocol.startswith("SASL") and not (
            self.sasl_username and self.sasl_password.get_secret_value()
        ):
            raise ValueError(
                f"{PREFIX}SASL_USERNAME and {PREFIX}SASL_PASSWORD are needed with {self.security_protocol}"
            )
        if self.rules_signature_file is not None and self.rules_public_key_file is None:
            raise ValueError(
                f"{PREFIX}RULES_SIGNATURE_FILE is checked with {PREFIX}RULES_PUBLIC_KEY_FILE, which is not set"
            )
        names = [*self.topics, *filter(None, [self.x12_topic])]
        if len(set(names)) < len(names):
            raise ValueError("each topic must have a name of its own")
        return self

    @property
    def x12_group_id(self) -> str:
        """Consumer group of those workers, for the X12 topic."""
        return f"{self.group_id}-x12"

    @property
    def input_topics(self) -> tuple[str, str, str, str]:
        """Submitted, sent on, status, overrides: what a worker reads, a partition of all of them together."""
        return (self.submitted_topic, self.repartition_topic, self.status_topic, self.overrides_topic)

    @property
    def output_topics(self) -> tuple[str, str, str]:
        """Cleared, flagged, dead letter."""
        return (self.cleared_topic, self.flagged_topic, self.deadletter_topic)

    @property
    def topics(self) -> tuple[str, ...]:
        """All with the same number of partitions."""
        return (*self.input_topics, *self.output_topics, self.history_topic)


def secret_files() -> dict[str, Path]:
    """The secrets that stand in files: the setting's name → the file.

    Raises:
        SettingsError: a secret is set twice.
    """
    environment = {name.upper(): value for name, value in os.environ.items() if value}
    files = {}
    for name, field in Settings.model_fields.items():
        variable = PREFIX + name.upper()
        if field.annotation is SecretStr and f"{variable}_FILE" in environment:
            if variable in environment:
                raise SettingsError(f"{variable} and {variable}_FILE are both set; keep one of them")
            files[name] = Path(environment[f"{variable}_FILE"])
    return files


def _secret_in(path: Path, variable: str) -> str:
    """A secret without the end of its line.

    Raises:
        SettingsError: the file can't be read, or holds no secret.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_SECRET + 1)
        secret = content.decode().removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise SettingsError(f"{variable}_FILE: {path}: {error.strerror or type(error).__name__}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{variable}_FILE: {path}: not text in UTF-8") from None
    if not secret:
        raise SettingsError(f"{variable}_FILE: {path}: empty; write the secret into it")
    if len(content) > _LONGEST_SECRET or "\n" in secret:
        raise SettingsError(f"{variable}_FILE: {path}: expected one line with the secret alone")
    return secret


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: names each wrong variable and what is expected; never a value, which may be a secret.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = []
        for each in error.errors(include_input=False, include_url=False):
            name = f"{PREFIX}{'_'.join(map(str, each['loc'])).upper()}: " if each["loc"] else ""
            problems.append(name + each["msg"].removeprefix("Value error, "))
        raise SettingsError("; ".join(problems)) from None
