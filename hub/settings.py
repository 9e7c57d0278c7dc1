"""One table of settings. Each is a flag (`--keep-alive-s 60`) and an environment variable (`HUB_KEEP_ALIVE_S=60`).

A flag beats the environment, which beats the settings file (TOML), which beats the default.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from hub.errors import InputError
from hub.files import read_text
from hub.suggest import unknown

CODE = Path(__file__).resolve().parent
# A wheel carries here what a clone has beside `hub/` (pyproject.toml): pages, weights, app.py, the lock.
BUNDLED = CODE / "_bundled"
INSTALLED = BUNDLED.is_dir()
EXTRA = "pip install 'demo-hub[{name}]'" if INSTALLED else "python -m pip install -r requirements-{name}.txt"
ROOT = BUNDLED if INSTALLED else CODE.parent
OFFLINE_SWITCHES = (
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "HF_HUB_DISABLE_TELEMETRY",
    "HF_HUB_DISABLE_UPDATE_CHECK",
    "DISABLE_TELEMETRY",
    "DO_NOT_TRACK",
)
LIMIT = r"[1-9]\d{0,8}/(second|minute|hour|day)"
ORIGIN = r"\s*https?://[^\s/?#,]+/?\s*"
HOST = r"\s*(\[[\da-fA-F:.]+\]|[\w.-]+)(:\d+)?\s*"
MEMBER = r"\s*(\*|[\w.-]+):(view|run|admin)\s*"
ENTITLED = r"\s*(\*|@?[\w.:/@+-]+):(view|run|admin)\s*"
CLAIM = r"[\w:/.-]{1,200}"
DOMAIN = r"\s*[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+\s*"
DEVICE = r"(mps|(cpu|cuda)(:\d{1,2})?)"  # cpu:0 and cpu:1 stand in for two devices where there is none
ALSO = {"device": ("--devices",)}  # other names of flags
TRUE, FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


def _setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class Settings:
    """Attributes are the settings; `TABLE` below gives name, default and help of each."""

    host: str = _setting("127.0.0.1", "address to listen on; 0.0.0.0 serves the whole network")
    port: int = _setting(7860, "port to listen on; 0 takes a free one")
    public_url: str = _setting("", "address people reach this hub by, for links behind a proxy; empty: as asked")
    allow_host: str = _setting("", "more names that this hub answers to: hub.lan,demos.example.org; *: any")
    share: bool = _setting(False, "open a public Gradio tunnel to this hub (needs internet)")
    demos: str = _setting("", "comma-separated slugs to serve; empty: all")
    reload: bool = _setting(False, "read a page again when its file is saved; for whoever writes pages")
    preload: bool = _setting(False, "load models at start, as many as fit, instead of on first use")
    device: str = _setting("auto", "cuda, mps or cpu, or several: cuda:0,cuda:1; auto takes the first that works")
    dtype: str = _setting("auto", "float32, bfloat16 or float16; auto measures which is faster on the device")
    backend: str = _setting("auto", "eager, openvino, or auto: the faster one; compiled forms are for CPUs only")
    workers: str = _setting("auto", "processes that models run in; 0: none but the hub's own; auto: as cores allow")
    nice: int = _setting(5, "how far processes with models stand back behind pages and stored answers: 0 to 19")
    executor: str = _setting("processes", "where models run: processes of this machine, or ray: replicas of Ray Serve")
    ray_address: str = _setting("local", "local starts a Ray of its own; auto or HOST:PORT uses one that is there")
    ray_replicas: str = _setting("auto", "how many, or 1-8 as there is work; auto: as the cluster has room")
    ray_cpus: float = _setting(1.0, "CPUs of one replica")
    ray_gpus: str = _setting(
        "auto", "GPUs of one replica, or a share of one such as 0.5; auto: one where there are any"
    )
    offline: bool = _setting(False, "never touch the network; use the weights on this machine")
    auth: str = _setting("", "USER:PASSWORD or a users file (`hub users`), asked for at every door; empty: open")
    space_users: str = _setting("", "on a Space with hf_oauth, who may sign in: NAME:ROLE,... (* is anyone); empty: no")
    auth_header: str = _setting("", "where a proxy signs people in: the header that names them, X-Forwarded-User")
    auth_proxies: str = _setting("", "addresses of the proxies whose auth_header is believed: 127.0.0.1,10.0.0.0/8")
    auth_roles: str = _setting("", "who may what there or by OIDC: ann@a.org:admin,@research:run,*:view")
    oidc_issuer: str = _setting("", "sign-in by OpenID Connect: its issuer, https://login.example.org; empty: no")
    oidc_client_id: str = _setting("", "what the provider calls this hub; its secret is HUB_OIDC_SECRET, or in a file")
    oidc_secret_file: str = _setting("", "file with the secret of this hub at the provider; empty: it has none")
    oidc_scopes: str = _setting("openid profile email", "what the provider is asked for, by spaces")
    oidc_name: str = _setting("preferred_username", "the claim that names people: preferred_username, email or sub")
    oidc_groups: str = _setting("groups", "the claim with their groups, for auth_roles and rights: groups, realm.roles")
    oidc_domains: str = _setting("", "only people whose e-mail address is of these: example.org,...; empty: of any")
    rights: str = _setting("", "TOML file that says who may see and run which pages; empty: everybody who may come in")
    manage: str = _setting("local", "who may load, pin and unload models: local (or role admin), everyone or nobody")
    rate_limit: str = _setting("", "runs of one user or browser, such as 60/minute; empty: as many as it can")
    quota: str = _setting("", "the same over a longer time, such as 500/day; empty: no end")
    allow_origins: str = _setting("", "other websites whose pages may call this hub: https://a.org,...; *: any")
    data: str = _setting("data", "folder for results and measurements")
    demos_folder: str = _setting("", "folder of demo files; empty: demos/ beside app.py, or of an installed hub, here")
    weights_folder: str = _setting("", "folder of weights; empty: weights/ beside app.py, or of an installed hub, here")
    weights: str = _setting("", "NAME=SOURCE,...: weights for a page: hf://owner/name@revision or the path of a folder")
    hub_folder: str = _setting("", "folder for weights from the Hugging Face Hub; empty: hub/ in the data folder")
    settings_file: str = _setting("", "TOML file with these settings; flags and the environment win; empty: none")
    pool_gb: float = _setting(0.0, "memory for models on the device, in GB; 0: a share of what is free at start")
    keep_alive_s: float = _setting(900.0, "an unused model leaves memory after this many seconds; 0: never")
    max_batch: int = _setting(8, "most requests in one forward pass (a demo may allow fewer)")
    batch_window_ms: float = _setting(4.0, "how long a request waits for others already on their way; 0 if alone")
    queue_limit: int = _setting(64, "requests in work at once; one more is answered 429; one caller has two thirds")
    deadline_s: float = _setting(120.0, "a request that takes longer is answered 504")
    grace_s: float = _setting(30.0, "at SIGTERM or Ctrl-C, what is in work has so many seconds to end; 0: none")
    max_upload_mb: float = _setting(20.0, "largest upload, in MB")
    bodies_mb: float = _setting(1024.0, "requests' bodies held in memory at once, in MB; one address has half")
    max_megapixels: float = _setting(50.0, "largest picture, in megapixels, checked before decoding")
    open_megapixels: float = _setting(0.0, "pictures open at once in the whole hub, in megapixels; 0: 4 of the largest")
    results_memory_mb: float = _setting(128.0, "results kept in memory, in MB; what models made takes as much again")
    results_disk_mb: float = _setting(1024.0, "results kept on disk, in MB; 0: none")
    similar: str = _setting("session", "whose past pictures a page finds similar ones in: session, everyone or off")
    results_days: float = _setting(30.0, "results are kept this many days")
    jobs_each: int = _setting(8, "jobs that one caller may have waiting or in work; one more is answered 429")
    jobs_disk_mb: float = _setting(4096.0, "what jobs were given, on disk, in MB; 0: no jobs")
    batch_pictures: int = _setting(10_000, "most pictures of one batch")
    webhook_hosts: str = _setting("", "hosts that may be told when a job ends: hooks.example.org,...; empty: none")
    webhook_secret: str = _setting("", "what such messages are signed with (HMAC), 16 letters or more; empty: none")
    links_disk_mb: float = _setting(2048.0, "shared results (links) kept on disk, in MB; 0: nobody can share")
    corrections_disk_mb: float = _setting(1024.0, "what people said was right or wrong, on disk, in MB; 0: nobody can")
    audit_rows: int = _setting(200_000, "lines of the audit log that are kept; 0: none is written")
    audit_days: float = _setting(365.0, "lines of the audit log are kept this many days")
    log_level: str = _setting("info", "debug, info, warning or error")
    log_format: str = _setting("text", "text, or json: one object a line, with the ids of the trace and the run")
    otlp: str = _setting("", "OpenTelemetry collector for traces: http://127.0.0.1:4318; empty: as OTEL_... say")

    @property
    def data_folder(self) -> Path:
        return Path(self.data).expanduser().resolve()

    @property
    def hub_cache(self) -> Path:
        return Path(self.hub_folder).expanduser().resolve() if self.hub_folder else self.data_folder / "hub"

    @property
    def pages_folder(self) -> Path:
        return Path(self.demos_folder).expanduser() if self.demos_folder else default_folder("demos")

    @property
    def devices(self) -> tuple[str, ...]:
        """What models run on; of several, each has a process of its own."""
        return tuple(self.device.split(","))

    @property
    def asks(self) -> bool:
        """Whether the hub asks who comes; else it is open to all who reach it."""
        return bool(self.auth or self.space_users or self.auth_header or self.oidc_issuer)

    def for_models(self) -> Settings:
        """What a process that runs pages' code is told: what signs people in is no business of it."""
        return replace(self, auth="", webhook_secret="", oidc_secret_file="", preload=False)  # nosec B106

    def origins(self) -> tuple[str, ...]:
        """The other websites of `allow_origins`."""
        return tuple(s.strip().rstrip("/") for s in self.allow_origins.split(",") if s.strip())

    def space_roles(self) -> dict[str, str]:
        """Roles by Hugging Face name, as `space_users` has them; * stands for all others."""
        return _roles(self.space_users)

    def proxy_roles(self) -> dict[str, str]:
        """Roles by name, @group or *, of who was signed in by a proxy or a provider, as `auth_roles` has them."""
        return _roles(self.auth_roles)

    def only(self) -> tuple[str, ...]:
        """The slugs of `demos`, empty for all."""
        return tuple(s.strip() for s in self.demos.split(",") if s.strip())


def _roles(text: str) -> dict[str, str]:
    pairs = (entry.strip().rpartition(":") for entry in text.split(",") if entry.strip())
    return {name: role for name, _, role in pairs}


def default_folder(name: str) -> Path:
    """Where this hub's own `demos` or `weights` are: in the clone; of an installed hub, in the working directory."""
    return (Path.cwd() if INSTALLED else ROOT) / name


TABLE: tuple[tuple[str, Any, str], ...] = tuple((f.name, f.default, str(f.metadata["help"])) for f in fields(Settings))
OPTIONS = {
    "backend": ("auto", "eager", "openvino"),
    "executor": ("processes", "ray"),
    "similar": ("session", "everyone", "off"),
    "manage": ("local", "everyone", "nobody"),
    "log_format": ("text", "json"),
}
# Of texts that are not empty: (pattern, what it asks for). Told here, before anything heavy is imported.
PATTERNS = {
    "public_url": (re.compile(r"https?://[^\s/?#]+(/[^\s?#]*)?"), "an address such as https://demos.example.org/hub"),
    "device": (
        re.compile(rf"auto|{DEVICE}(,{DEVICE}){{0,63}}"),
        "auto, cuda, cuda:N, mps or cpu, or several: cuda:0,cuda:1",
    ),
    "dtype": (re.compile(r"auto|float32|bfloat16|float16"), "auto, float32, bfloat16 or float16"),
    "workers": (re.compile(r"auto|\d{1,2}"), "auto or a number of processes"),
    "ray_address": (re.compile(r"local|auto|(\[[\da-fA-F:.]+\]|[\w.-]+):\d{1,5}"), "local, auto or HOST:PORT"),
    "ray_replicas": (
        re.compile(r"auto|[1-9]\d{0,3}(-[1-9]\d{0,3})?"),
        "auto, a number, or the least and the most, such as 1-8",
    ),
    "ray_gpus": (re.compile(r"auto|\d{1,2}|0?\.\d{1,4}"), "auto, a number, or a share of one such as 0.5"),
    "space_users": (re.compile(rf"{MEMBER}(,{MEMBER})*"), "names with roles such as ann:admin,ben:run,*:view"),
    "auth_header": (re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}"), "the name of a header such as X-Forwarded-User"),
    "auth_roles": (
        re.compile(rf"{ENTITLED}(,{ENTITLED})*"),
        "names with roles such as ann@a.org:admin,@team:run,*:view",
    ),
    "oidc_issuer": (re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?"), "an address such as https://login.example.org"),
    "oidc_client_id": (re.compile(r"[\x21-\x7e]{1,500}"), "the id that the provider gave this hub"),
    "oidc_scopes": (re.compile(r"[!#-\[\]-~]+( [!#-\[\]-~]+)*"), "scopes such as openid profile email"),
    "oidc_name": (re.compile(CLAIM), "the name of a claim such as preferred_username"),
    "oidc_groups": (re.compile(CLAIM), "the name of a claim such as groups, or realm_access.roles"),
    "oidc_domains": (re.compile(rf"{DOMAIN}(,{DOMAIN})*"), "domains such as example.org,example.com"),
    "webhook_hosts": (re.compile(rf"{HOST}(,{HOST})*"), "names such as hooks.example.org,ci.example.org"),
    "otlp": (re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?"), "an address such as http://127.0.0.1:4318"),
    "webhook_secret": (re.compile(r"\S{16,200}"), "16 letters or more, without spaces"),
    "rate_limit": (re.compile(LIMIT), "a number per second, minute, hour or day, such as 60/minute"),
    "quota": (re.compile(LIMIT), "a number per second, minute, hour or day, such as 500/day"),
    "allow_host": (re.compile(rf"\*|{HOST}(,{HOST})*"), "*, or names such as hub.lan,demos.example.org"),
    "allow_origins": (re.compile(rf"\*|{ORIGIN}(,{ORIGIN})*"), "*, or origins such as https://a.org,https://b.org"),
}
POSITIVE = {
    "jobs_each",
    "batch_pictures",
    "max_batch",
    "queue_limit",
    "deadline_s",
    "ray_cpus",
    "max_upload_mb",
    "bodies_mb",
    "max_megapixels",
}
MOST = {"port": 65_535, "nice": 19}
# What signs people in and messages: of the environment, the doors' alone.
OF_DOORS = {"HUB_AUTH", "HUB_WEBHOOK_SECRET", "HUB_OIDC_SECRET", "HUB_OIDC_SECRET_FILE", "OAUTH_CLIENT_SECRET"}


def environment_for_models(**more: str) -> dict[str, str]:
    """The environment of a process that runs pages' code, as `Settings.for_models`."""
    return {name: value for name, value in os.environ.items() if name not in OF_DOORS} | more


def parse(name: str, text: str, default: Any, source: str) -> Any:
    """Text -> the type of `default`. Raises InputError that names `source` (the flag or variable)."""
    if name in OPTIONS and text not in OPTIONS[name]:
        raise InputError(
            "{source} must be {listed} or {last}, got {text!r}",
            source=source,
            listed=", ".join(OPTIONS[name][:-1]),
            last=OPTIONS[name][-1],
            text=text,
        )
    if text and name in PATTERNS and not PATTERNS[name][0].fullmatch(text):
        raise InputError("{source} must be {what}, got {text!r}", source=source, what=PATTERNS[name][1], text=text)
    kind = type(default)
    if kind is bool:
        if text.strip().lower() in TRUE | FALSE:
            return text.strip().lower() in TRUE
        raise InputError("{source} must be true or false, got {text!r}", source=source, text=text)
    try:
        value = kind(text)
    except ValueError:
        kind_words = {int: "a whole number", float: "a number"}[kind]
        raise InputError(
            "{source} must be {wanted}, got {text!r}", source=source, wanted=kind_words, text=text
        ) from None
    if kind in (int, float):
        if not value >= 0 or value == float("inf"):
            raise InputError("{source} must be 0 or more, got {text!r}", source=source, text=text)
        if name in POSITIVE and value == 0:
            raise InputError("{source} must be more than 0, got {text!r}", source=source, text=text)
        if name in MOST and value > MOST[name]:
            raise InputError("{source} must be at most {most}, got {text!r}", source=source, most=MOST[name], text=text)
    return value


def from_environment(environment: Mapping[str, str] = os.environ, file: str | None = None) -> Settings:
    """Defaults overridden by the settings file, then by HUB_* variables. `file` beats HUB_SETTINGS_FILE."""
    path = file if file is not None else environment.get("HUB_SETTINGS_FILE", "")
    values = from_file(Path(path).expanduser()) if path else {}
    for name, default, _ in TABLE:
        variable = f"HUB_{name.upper()}"
        if variable in environment:
            values[name] = parse(name, environment[variable], default, variable)
    return Settings(**values)


def from_file(path: Path) -> dict[str, Any]:
    """Settings by name from a TOML file; `weights` may be a table `name = source`. Raises InputError."""
    try:
        data = tomllib.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise InputError("The settings file {path} cannot be read: {reason}", path=path, reason=error) from None
    defaults = {name: default for name, default, _ in TABLE}
    values = {}
    for name, value in data.items():
        if name not in defaults or name == "settings_file":
            raise InputError("{path}: {problem}", path=path, problem=unknown("setting", name, [*defaults]))
        if name == "weights" and isinstance(value, dict):
            value = ",".join(f"{key}={source}" for key, source in value.items())
        if isinstance(value, dict | list):
            raise InputError(
                "{path}: {name} must be one value, got a {kind}", path=path, name=name, kind=type(value).__name__
            )
        values[name] = parse(name, str(value), defaults[name], f"{path}: {name}")
    return values


def add_flags(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup, names: Sequence[str] | None = None, absent: Any = None
) -> None:
    """Adds a flag per setting (all, or those named) to `parser`; `absent` is the value of one that is not given."""
    for name, default, help in TABLE:
        if names is not None and name not in names:
            continue
        flag, text = "--" + name.replace("_", "-"), f"{help} (default: {default!r})".replace("%", "%%")
        if isinstance(default, bool):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=absent, help=text)
        elif name == "weights":
            parser.add_argument(flag, metavar="NAME=SOURCE", action="append", default=absent, help=text)
        else:
            parser.add_argument(flag, *ALSO.get(name, ()), metavar="X", default=absent, help=text)


def from_flags(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Settings:
    """Environment settings overridden by the flags that were given."""
    base = from_environment(environment, getattr(arguments, "settings_file", None))
    values = {name: getattr(base, name) for name, _, _ in TABLE}
    for name, default, _ in TABLE:
        value = getattr(arguments, name, None)
        if isinstance(value, list):
            value = ",".join(value)
        if value is not None:
            flag = "--" + name.replace("_", "-")
            values[name] = value if isinstance(value, bool) else parse(name, value, default, flag)
    return Settings(**values)


def go_offline() -> None:
    """Sets every library's own offline switch, also of a huggingface_hub that read its switch already."""
    for name in OFFLINE_SWITCHES:
        os.environ[name] = "1"
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["STREAMLIT_BROWSER_GATHER_USAGE_STATS"] = "false"
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        vars(constants).update(HF_HUB_OFFLINE=True, HF_HUB_DISABLE_TELEMETRY=True)
