"""What the server is told: by a file, by the environment, by the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from millstream.server.errors import ConfigError
from millstream.server.headers import HeaderFilter
from millstream.server.runs.revisions import RULES

ROLES: Final = ("all", "api", "worker")
FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class GraphSource:
    """Where a graph is found: a graph or a factory, or the text that names one."""

    target: Any
    """`path/to/file.py:name`, `package.module:name`, or the object itself."""
    description: str | None = None


@dataclass(frozen=True)
class TtlConfig:
    """How long what nobody touches stays."""

    default_ttl: float | None = None
    """Minutes; None is for ever."""
    strategy: str = "delete"
    refresh_on_read: bool = True
    sweep_interval_minutes: float = 5
    sweep_limit: int | None = None

    @property
    def of_threads(self) -> Mapping[str, Any] | None:
        """Return what a thread gets that is made without a ttl of its own."""
        if self.default_ttl is None:
            return None
        return {"ttl": self.default_ttl, "strategy": self.strategy}


@dataclass(frozen=True)
class StoreConfig:
    """The store."""

    path: str | None = None
    index: Mapping[str, Any] | None = None
    """For semantic search: `dims`, `embed`, `fields`."""
    ttl: TtlConfig | None = None


@dataclass(frozen=True)
class CheckpointerConfig:
    """The threads."""

    path: str | None = None
    ttl: TtlConfig | None = None
    serde: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class AuthCacheConfig:
    """For how long it need not be asked again who calls."""

    cache_keys: tuple[str, ...] = ()
    """Headers that tell callers apart, besides those that have credentials."""
    ttl_seconds: float = 60
    max_size: int = 1000

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("ttl_seconds", "max_size"):
            if not getattr(self, name) > 0:
                raise ConfigError(
                    f"auth.cache.{name} is a number above 0, not {getattr(self, name)!r}"
                )


@dataclass(frozen=True)
class AuthConfig:
    """Who may do what."""

    path: str | None = None
    disable_studio_auth: bool = True
    openapi: Mapping[str, Any] | None = None
    cache: AuthCacheConfig | None = None


@dataclass(frozen=True)
class EncryptionConfig:
    """What everything is sealed with that is stored."""

    path: str = ""
    """`path/to/file.py:name` of a `langgraph_sdk.Encryption`."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not self.path:
            raise ConfigError("encryption.path is missing: write './encryption.py:encryption'")


@dataclass(frozen=True)
class PriorityConfig:
    """How urgent the runs of a thread are."""

    path: str = ""
    """`path/to/file.py:name` of a `langgraph_sdk.Priority`."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not self.path:
            raise ConfigError("priority.path is missing: write './priority.py:priority'")


@dataclass(frozen=True)
class ExecutorConfig:
    """Where nodes run that do not say so themselves."""

    path: str = ""
    """`path/to/file.py:name` of a `millstream.executors.Executor`."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not self.path:
            raise ConfigError("executor.path is missing: write './executor.py:executor'")


@dataclass(frozen=True)
class HttpConfig:
    """What is served over HTTP besides the API, and what of it is not."""

    app: str | None = None
    disable_assistants: bool = False
    disable_threads: bool = False
    disable_runs: bool = False
    disable_store: bool = False
    disable_mcp: bool = False
    disable_a2a: bool = False
    disable_frontends: bool = False
    disable_meta: bool = False
    disable_ui: bool = False
    disable_webhooks: bool = False
    cors: Mapping[str, Any] | None = None
    configurable_headers: Mapping[str, Any] | None = None
    logging_headers: Mapping[str, Any] | None = None
    middleware_order: str | None = None
    enable_custom_route_auth: bool = False
    mount_prefix: str = ""

    @property
    def disabled(self) -> frozenset[str]:
        """Return the resources that are not served."""
        flags = {
            "assistants": self.disable_assistants,
            "threads": self.disable_threads,
            "thread_state": self.disable_threads,
            "thread_stream": self.disable_threads,
            "runs": self.disable_runs,
            "stateless_runs": self.disable_runs,
            "crons": self.disable_runs,
            "store": self.disable_store,
            "mcp": self.disable_mcp,
            "a2a": self.disable_a2a,
            "agui": self.disable_frontends,
            "aisdk": self.disable_frontends,
            "completions": self.disable_frontends,
            "responses": self.disable_frontends,
            "event_streaming": self.disable_threads,
            "system": self.disable_meta,
            "openapi": self.disable_meta,
        }
        return frozenset(name for name, is_disabled in flags.items() if is_disabled)


@dataclass(frozen=True)
class LimitsConfig:
    """How much one client may have."""

    max_header_bytes: int = 65536
    max_event_bytes: int | None = None
    """A run that says more at once fails."""
    requests_per_minute: int | None = None
    burst: int | None = None
    """How many of them at once; a tenth of them by default."""
    runs_per_minute: int | None = None
    """Runs that are asked for, in whatever way."""
    runs_burst: int | None = None
    """How many of them at once; a tenth of them by default."""
    max_streams_per_client: int | None = None
    """Event streams and requests that wait for a run."""
    request_seconds: int = 30
    """How long a request may take to come; a body a second more for each kilobyte of it."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in vars(self):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise ConfigError(f"limits.{name} is a number from 1 on, not {value!r}")


@dataclass(frozen=True)
class ServerConfig:
    """Everything the server can be told."""

    graphs: Mapping[str, GraphSource] = field(default_factory=dict)
    directory: Path = field(default_factory=Path.cwd)
    """What relative paths begin in: where the configuration is."""
    files: tuple[Path, ...] = ()
    """What all this was read from, once."""
    dependencies: tuple[str, ...] = ()
    """Directories whose modules graphs import; what is installed needs no mention."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What the environment is given that it does not have."""
    # There may be a password in it.
    database: str | None = field(default=None, repr=False)
    """The path of a file, `.millstream/server.db` in the directory by default, or an address like
    `postgresql://user:password@host/name`."""
    # There may be a password in it.
    listen_database: str | None = field(default=None, repr=False)
    """The address of PostgreSQL itself, where `database` is a pooler's: other servers are heard
    there."""
    # There may be a password in it.
    redis: str | None = field(default=None, repr=False)
    """The address of a Redis server by which servers that share a database ring at each other."""
    role: str = "all"
    """`api` answers requests and carries out no runs, `worker` carries out runs alone."""
    revision: str = ""
    """Which version of the graphs this is, where servers with several of them share a database."""
    on_new_revision: str = "same"
    """Which version goes on with a run that another server has begun: the `same` as long as a
    server has it, or the `newest`."""
    lease_seconds: float = 30
    """After how long a server that shows no sign of life is taken for dead by others."""
    host: str = "127.0.0.1"
    port: int = 2024
    n_jobs_per_worker: int = 10
    """Runs that go on at a time."""
    run_timeout_seconds: float = 86_400
    """How long a run may take."""
    grace_seconds: float = 3
    """How long runs go on when the process is told to end; the others go on in the next one."""
    drain_seconds: float = 0
    """How long requests are taken after that though others could take them: until whoever sends
    them knows that this server is not ready any more."""
    event_retention_seconds: float = 120
    """How long what a run has said can be read again after its end, if its stream is resumable."""
    max_request_bytes: int = 128 << 20
    api_key_file: str | None = None
    """Whoever has one of its keys may do everything; not beside `auth.path`."""
    log_format: str = "text"
    log_level: str = "info"
    """From which on it is told; requests and runs are told of at `info`."""
    limits: LimitsConfig = LimitsConfig()
    store: StoreConfig = StoreConfig()
    checkpointer: CheckpointerConfig = CheckpointerConfig()
    auth: AuthConfig = AuthConfig()
    http: HttpConfig = HttpConfig()
    webhooks: Mapping[str, Any] | None = None
    encryption: EncryptionConfig | None = None
    priority: PriorityConfig | None = None
    executor: ExecutorConfig | None = None
    ui: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        self._check_numbers()
        self._check_sharing()
        for name, options in (
            ("log_format", FORMATS),
            ("log_level", LEVELS),
            ("role", ROLES),
            ("on_new_revision", RULES),
        ):
            if getattr(self, name) not in options:
                raise ConfigError(f"{name} is {' or '.join(options)}, not {getattr(self, name)!r}")
        if self.database and self.postgres is None and "://" in self.database:
            scheme = self.database.partition(":")[0]
            raise ConfigError(
                f"database is the path of a file or postgresql://..., not {scheme}://..."
            )
        if self.auth.path and self.api_key_file:
            raise ConfigError("auth.path and api_key_file both say who may call; take one out")
        for name, ttl in (("store", self.store.ttl), ("checkpointer", self.checkpointer.ttl)):
            if ttl is not None:
                _check_ttl(f"{name}.ttl", ttl)
        order = self.http.middleware_order
        if order not in (None, "middleware_first", "auth_first"):
            raise ConfigError(
                f"http.middleware_order is middleware_first or auth_first, not {order!r}"
            )
        HeaderFilter("http.configurable_headers", self.http.configurable_headers)
        HeaderFilter("http.logging_headers", self.http.logging_headers)
        prefix = self.http.mount_prefix
        if prefix and (not prefix.startswith("/") or prefix.endswith("/")):
            raise ConfigError(f"http.mount_prefix is like '/api', not {prefix!r}")

    def _check_sharing(self) -> None:
        shared = {"listen_database": self.listen_database, "redis": self.redis}
        names = [name for name, given in shared.items() if given]
        if self.role != "all":
            names.append("role")
        if self.postgres is None and names:
            raise ConfigError(
                f"{names[0]} is for servers that share a database in PostgreSQL: name it with "
                "--database postgresql://..."
            )
        if self.redis and not self.redis.startswith(("redis://", "rediss://", "unix://")):
            raise ConfigError("redis is an address like redis://:password@host:6379/0")
        if not self.lease_seconds >= 3:
            raise ConfigError(f"lease_seconds is a number from 3 on, not {self.lease_seconds!r}")

    def _check_numbers(self) -> None:
        for name in ("n_jobs_per_worker", "max_request_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name} is a number from 1 on, not {value!r}")
        for name in ("run_timeout_seconds", "event_retention_seconds"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is a number above 0, not {getattr(self, name)!r}")
        for name in ("grace_seconds", "drain_seconds"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is a number from 0 on, not {getattr(self, name)!r}")
        if not 0 <= self.port < 65536:
            raise ConfigError(f"port is a number from 0 to 65535, not {self.port!r}")

    @property
    def slots(self) -> int:
        """Return how many runs are carried out here at a time."""
        return 0 if self.role == "api" else self.n_jobs_per_worker

    @property
    def ttl_of_threads(self) -> Mapping[str, Any] | None:
        """Return what a thread gets that is made without a ttl of its own."""
        ttl = self.checkpointer.ttl
        return None if ttl is None else ttl.of_threads

    @property
    def postgres(self) -> str | None:
        """Return the address of the database in PostgreSQL, None if it is a file."""
        is_address = self.database and self.database.startswith(("postgresql://", "postgres://"))
        return self.database if is_address else None

    @property
    def database_path(self) -> Path:
        """Return the path of the server's own tables; other files are named after it."""
        return self.directory / (self.database or ".millstream/server.db")

    def file_beside(self, what: str) -> Path:
        """Return the path of another file of the database: of its checkpoints or its store."""
        path = self.database_path
        return path.with_name(f"{path.stem}-{what}{path.suffix or '.db'}")


def _check_ttl(key: str, ttl: TtlConfig) -> None:
    if ttl.strategy not in ("delete", "keep_latest"):
        raise ConfigError(f"{key}.strategy is 'delete' or 'keep_latest', not {ttl.strategy!r}")
    for name in ("default_ttl", "sweep_interval_minutes", "sweep_limit"):
        value = getattr(ttl, name)
        if value is not None and not value > 0:
            raise ConfigError(f"{key}.{name} is a number above 0, not {value!r}")
