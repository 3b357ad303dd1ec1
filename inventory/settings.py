"""Every setting of gnomon, declared once.

An option beats the environment, which beats the file, which beats the default.
The environment variable of ``gateway_port`` is ``GNOMON_GATEWAY_PORT``; in the file (TOML, by default
``gnomon/config.toml`` under the XDG configuration folder) the key is ``gateway_port``.
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(ValueError):
    """A setting that cannot be used. Its text is one sentence for a person."""


def xdg_folder(variable: str, default: str) -> Path:
    """The folder ``gnomon`` under an XDG base directory, absolute. It is not created.

    Source: XDG Base Directory Specification 0.8; a relative value of the variable is ignored.
    """
    value = os.environ.get(variable, "")
    base = Path(value) if value and Path(value).is_absolute() else Path.home() / default
    return base / "gnomon"


class Settings(BaseSettings):
    """The settings, validated. Made by ``load_settings``."""

    model_config = SettingsConfigDict(env_prefix="GNOMON_", env_ignore_empty=True, extra="forbid", frozen=True)

    database: str = Field(
        default_factory=lambda: f"sqlite:///{xdg_folder('XDG_STATE_HOME', '.local/state') / 'inventory.db'}",
        description="The inventory's database: sqlite:///FILE or postgresql://USER@HOST/NAME.",
    )
    state_folder: Path = Field(
        default_factory=lambda: xdg_folder("XDG_STATE_HOME", ".local/state"),
        description="Where the gateway keeps its last good configuration, sockets, logs and captures.",
    )
    signatures: Path | None = Field(
        default=None, description="A folder of further signature files, read after the built-in ones."
    )
    scan_rate: int = Field(default=2000, ge=1, description="Probes a second where a scope names no rate.")
    exclude_file: Path | None = Field(
        default=None, description="A file of addresses that no scan may send anything, one CIDR or address a line."
    )
    discovery: Literal["auto", "connect", "syn"] = Field(
        default="auto",
        description="How open ports are found: by SYN frames (syn), by connecting (connect), or by what is to be had.",
    )
    scan_timeout: float = Field(default=2.0, gt=0, description="Seconds to wait for a connection.")
    answer_timeout: float = Field(default=5.0, gt=0, description="Seconds to wait for one HTTP answer.")
    host_timeout: float = Field(
        default=30.0, gt=0, description="Seconds that all the questions to one listener may take."
    )
    scan_concurrency: int = Field(default=512, ge=1, description="Listeners that are asked at once.")
    cluster_rate: int = Field(default=50, ge=1, description="Requests a second to the API server of one cluster.")
    cluster_timeout: float = Field(
        default=30.0, gt=0, description="Seconds to wait for one answer of a cluster's API server."
    )
    cluster_reach: Literal["auto", "direct", "proxy", "none"] = Field(
        default="auto",
        description="How what runs in clusters is asked: at its pods' addresses (direct), through the API server's "
        "proxy of Services and pods (proxy), not at all (none), or directly where gnomon runs inside and else by proxy "
        "(auto).",
    )
    stale_after: float = Field(
        default=7 * 86400.0, gt=0, description="Seconds without a sighting after which an endpoint is stale."
    )
    gone_after: float = Field(
        default=0.0,
        ge=0,
        description="Seconds that an endpoint must be missing before it is gone.",
    )
    gone_after_scans: int = Field(
        default=2, ge=1, description="Complete scans in a row that miss an endpoint before it is gone."
    )
    webhook: str | None = Field(
        default=None, description="The http or https URL that serve posts what is new to; none by default."
    )
    webhook_events: tuple[Literal["new", "changed", "gone", "returned", "joined", "split"], ...] = Field(
        default=("new", "returned", "changed"), description="What the webhook and the lines of serve tell of."
    )
    gateway_id: str = Field(default="local", description="The name of the gateway that serve supervises.")
    gateway_address: str = Field(default="127.0.0.1", description="The address the gateway listens on.")
    gateway_port: int = Field(default=8780, ge=0, le=65535, description="The port the gateway listens on.")
    gateway_domain: str = Field(
        default="localhost", description="Routes are served as NAME.DOMAIN; *.localhost needs no DNS."
    )
    gateway_certificate: Path | None = Field(
        default=None,
        description="A certificate chain (PEM): the gateway then speaks TLS. Read again when its folder changes.",
    )
    gateway_key: Path | None = Field(default=None, description="The key (PEM) of the gateway's certificate.")
    gateway_client_ca: Path | None = Field(
        default=None,
        description="Certificates (PEM) that vouch for those by which callers prove who they are; none by default.",
    )
    gateway_drain: int = Field(
        default=60, ge=1, description="Seconds that a gateway which is replaced has for the requests under way."
    )
    gateway_memory: int = Field(
        default=2048, ge=128, description="MiB that the gateway may use before it refuses further requests."
    )
    gateway_connections: int = Field(
        default=50_000, ge=1, description="Connections of callers that the gateway holds at once at most."
    )
    join_address: str | None = Field(
        default=None,
        description="The address on which gateways of other machines reach gnomon, by certificates; none by default.",
    )
    join_port: int = Field(
        default=8783,
        ge=1,
        le=65534,
        description="The port on which a gateway joins, by an invitation. The one behind it is for those that joined.",
    )
    join_seconds: int = Field(
        default=2_592_000, ge=4, description="Seconds that a joined gateway's certificate is good; renewed at half."
    )
    token_port: int = Field(
        default=8781,
        ge=0,
        le=65535,
        description="The port of serve's token service, on the gateway's address; 0: none.",
    )
    token_url: str | None = Field(
        default=None,
        description="The URL by which callers reach the token service, as its tokens say it; its own by default.",
    )
    metrics_port: int = Field(
        default=9464, ge=0, le=65535, description="The port on 127.0.0.1 of serve's /metrics; 0 serves none."
    )
    seal_interval: int = Field(
        default=3600, ge=0, description="Seconds after which serve tries a seal again, where it may; 0 never does."
    )
    calls_days: int = Field(default=90, ge=0, description="Days that recorded calls are kept; 0 keeps them for ever.")
    keys: dict[str, str] = Field(
        default_factory=dict, description="Keys of the terminal UI, by action: a table in the file."
    )
    actor: str = Field(
        default_factory=lambda: os.environ.get("USER") or "unknown",
        description="Who is recorded as the author of changes.",
    )


def load_settings(config: Path | None = None, **options: Any) -> Settings:
    """The settings in force. Options that are None are not given.

    ``config`` must exist where it is named; the default file may be absent. Raises SettingsError
    with one sentence that names the setting and what is wrong with it.
    """
    given = {name: value for name, value in options.items() if value is not None}
    path = config or xdg_folder("XDG_CONFIG_HOME", ".config") / "config.toml"
    in_file = _read(path, must_exist=config is not None)
    fields = Settings.model_fields
    for name in in_file:
        if name not in fields:
            raise SettingsError(f"{path}: there is no setting {name!r}; the settings are {', '.join(fields)}")
    from_file = {name: value for name, value in in_file.items() if f"GNOMON_{name.upper()}" not in os.environ}
    try:
        return Settings(**{**from_file, **given})
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        raise SettingsError(f"setting {name}: {problem['msg']} (got {problem['input']!r})") from error


def _read(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if must_exist:
            raise SettingsError(f"there is no configuration file {path}") from error
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the configuration file {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the configuration file {path} is not TOML: {error}") from error
