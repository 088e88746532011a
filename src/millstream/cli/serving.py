"""`millstream dev` and `millstream serve`: graphs over HTTP."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from millstream._base.naming import FORMS
from millstream.cli.failures import DONE, UsageError
from millstream.cli.installing import installing
from millstream.cli.output import complain

if TYPE_CHECKING:
    import socket

    from millstream.server.config import ServerConfig

Targets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[TARGET]...",
        help=f"Graphs: {FORMS}; no name means the only one. Without, those of --config.",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="langgraph.json, or a pyproject.toml; else those here."),
]
Host = Annotated[str | None, typer.Option(help="The address to listen on; 127.0.0.1.")]
Port = Annotated[int | None, typer.Option(help="The port to listen on; 2024. 0 is any free one.")]
DatabasePath = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="The file to keep everything in, or postgresql://user:password@host/name.",
    ),
]
ListenDatabase = Annotated[
    str | None,
    typer.Option(
        "--listen-database",
        help="The address of PostgreSQL itself, where --database is that of a pooler.",
    ),
]
Redis = Annotated[
    str | None,
    typer.Option(help="redis://host:port, by which servers on one database ring at each other."),
]
Role = Annotated[
    str | None,
    typer.Option(help="all; api: answer requests and carry out no runs; worker: carry out runs."),
]
Revision = Annotated[
    str | None,
    typer.Option(help="Which version of the graphs this is, beside servers with another one."),
]
Workers = Annotated[
    int | None, typer.Option("--workers-per-process", help="Runs that go on at a time; 10.")
]
Grace = Annotated[
    float | None,
    typer.Option(help="Seconds that runs go on when the server is told to end; 3."),
]
KeyFile = Annotated[
    str | None,
    typer.Option("--api-key-file", help="Let in only who has a key of this file: `name: key`."),
]
LogFormat = Annotated[
    str | None, typer.Option("--log-format", help="text or json: how the log is written to stderr.")
]
LogLevel = Annotated[
    str | None,
    typer.Option("--log-level", help="debug, info, warning or error; info has all requests."),
]

logger = logging.getLogger("millstream.server")

_PATIENCE: Final = 2.0
"""Seconds after which it is said what the server is at before it is up."""


def dev(
    targets: Targets = None,
    *,
    config: ConfigFile = None,
    host: Host = None,
    port: Port = None,
    database: DatabasePath = None,
    workers: Workers = None,
    grace: Grace = None,
    api_key_file: KeyFile = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
    no_reload: Annotated[
        bool, typer.Option("--no-reload", help="Do not load graphs anew when files change.")
    ] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open a page.")] = False,
) -> int:
    """Serve graphs over HTTP while they are worked on: what changes is loaded anew."""
    known = configure(
        config,
        *(targets or ()),
        database=database,
        api_key_file=api_key_file,
        host=host,
        port=port,
        n_jobs_per_worker=workers,
        grace_seconds=grace,
        log_format=log_format,
        log_level=log_level,
    )
    return _serve(known, reload=not no_reload, browser=not no_browser and sys.stdout.isatty())


def serve(
    targets: Targets = None,
    *,
    config: ConfigFile = None,
    host: Host = None,
    port: Port = None,
    database: DatabasePath = None,
    listen_database: ListenDatabase = None,
    redis: Redis = None,
    role: Role = None,
    revision: Revision = None,
    workers: Workers = None,
    grace: Grace = None,
    api_key_file: KeyFile = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> int:
    """Serve graphs over HTTP."""
    known = configure(
        config,
        *(targets or ()),
        database=database,
        listen_database=listen_database,
        redis=redis,
        role=role,
        revision=revision,
        api_key_file=api_key_file,
        host=host,
        port=port,
        n_jobs_per_worker=workers,
        grace_seconds=grace,
        log_format=log_format,
        log_level=log_level,
    )
    return _serve(known, reload=False, browser=False)


def configure(
    config: Path | None,
    *targets: str,
    database: str | None = None,
    api_key_file: str | None = None,
    **others: Any,
) -> ServerConfig:
    """Return the configuration that a command line means, or raise `UsageError`."""
    _check_installed()
    from millstream.server.config_files import load_config
    from millstream.server.errors import ConfigError

    if database is not None and "://" not in database:
        # Named from here, wherever the configuration is.
        database = str(Path(database).absolute())
    try:
        return load_config(
            config,
            *targets,
            database=database,
            api_key_file=None if api_key_file is None else str(Path(api_key_file).absolute()),
            **others,
        )
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _check_installed() -> None:
    try:
        import alembic  # noqa: F401
        import langgraph_sdk  # noqa: F401
        import orjson  # noqa: F401
        import sqlalchemy  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"the server needs {error.name}, which is not installed: "
            f"{installing('millstream[server]')}"
        ) from error


def _serve(config: ServerConfig, *, reload: bool, browser: bool) -> int:
    from millstream.compat.finder import TooLateError, install
    from millstream.server.errors import ConfigError
    from millstream.server.serving import run

    listening = _listen(config.host, config.port)
    try:
        # Before any graph is imported: programs for LangGraph mean millstream.
        install()
    except TooLateError as error:
        listening.close()
        raise UsageError(str(error)) from error
    if reload:
        # Two changes within a second look the same to compiled files.
        sys.dont_write_bytecode = True
    with _ended_with_its_terminal(), _patience(f"loading {', '.join(config.graphs)} ...") as is_up:

        def say(line: str) -> None:
            is_up()
            typer.echo(line)
            if is_open(config):
                logger.warning(
                    "Whoever can reach %s, port %d can do everything here, as nobody is asked who "
                    "they are: give auth.path or --api-key-file, or listen on 127.0.0.1",
                    config.host,
                    listening.getsockname()[1],
                )

        try:
            run(config, listening, reload=reload, browser=browser, say=say)
        except ConfigError as error:
            raise UsageError(str(error)) from error
    return DONE


def is_open(config: ServerConfig) -> bool:
    """Say whether others than this machine reach a server that asks nobody who they are."""
    if config.auth.path or config.api_key_file or config.role == "worker":
        return False
    from ipaddress import ip_address

    try:
        return not ip_address(config.host).is_loopback
    except ValueError:
        return config.host != "localhost"


@contextmanager
def _ended_with_its_terminal() -> Iterator[None]:
    """Have the server end in order where its terminal is closed, as if it were told by SIGTERM.

    Else its runs would be those of a server that was killed. What `nohup` has set is left alone.
    """
    number = getattr(signal, "SIGHUP", None)
    is_main = threading.current_thread() is threading.main_thread()
    if number is None or not is_main or signal.getsignal(number) is not signal.SIG_DFL:
        yield
        return
    signal.signal(number, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def _patience(line: str) -> Iterator[Callable[[], None]]:
    """Say a line on the terminal if what is waited for takes long; give what ends the waiting."""
    timer = threading.Timer(_PATIENCE, complain, (line,))
    timer.daemon = True
    if sys.stderr is not None and sys.stderr.isatty():
        timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


def _listen(host: str, port: int) -> socket.socket:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError, OverflowError) as error:
        # Names of hosts have an encoding of their own, ports an end.
        number = getattr(error, "errno", None) or 0
        reason = getattr(error, "strerror", None) or str(error)
        if number > 0:
            # Without what Python adds: the address is told already.
            reason = os.strerror(number)
        other = "--port" if number in (errno.EADDRINUSE, errno.EACCES) else "--host or --port"
        raise UsageError(
            f"cannot listen on {host}, port {port}: {reason}; choose another with {other}"
        ) from error
