"""What the server is told: by a file, by the environment, by the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from millstream.server.errors import ConfigError


@dataclass(frozen=True)
class GraphSource:
    """Where a graph is found: a graph or a factory, or the text that names one."""

    target: Any
    """`path/to/file.py:name`, `package.module:name`, or the object itself."""
    description: str | None = None


@dataclass(frozen=True)
class ServerConfig:
    """Everything the server can be told."""

    graphs: Mapping[str, GraphSource] = field(default_factory=dict)
    directory: Path = field(default_factory=Path.cwd)
    """What relative paths begin in: where the configuration is."""
    database: str | None = None
    """The path of a file, `.millstream/server.db` in the directory by default."""
    host: str = "127.0.0.1"
    port: int = 2024
    n_jobs_per_worker: int = 10
    """Runs that go on at a time."""
    max_request_bytes: int = 128 << 20

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("n_jobs_per_worker", "max_request_bytes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name} is a positive number, not {value!r}")

    @property
    def database_path(self) -> Path:
        """Return the path of the server's own tables; other files are named after it."""
        return self.directory / (self.database or ".millstream/server.db")

    def file_beside(self, what: str) -> Path:
        """Return the path of another file of the database: of its checkpoints or its store."""
        path = self.database_path
        return path.with_name(f"{path.stem}-{what}{path.suffix or '.db'}")


def load_config(
    path: str | Path | None = None, target: str | None = None, **overrides: Any
) -> ServerConfig:
    """Return the configuration of a file, of the environment and of `overrides`, the last first."""
    raise NotImplementedError
