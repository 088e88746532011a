"""nginx and haproxy as Debian has them, with what `deploy` adds, each before a server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import httpx

from listening import free_port, listening

Kind = Literal["nginx", "haproxy"]
_PATH: Final = "/usr/sbin:/usr/local/sbin:/usr/bin:/bin"
NGINX: Final = Path("/etc/nginx/nginx.conf")
HAPROXY: Final = Path("/etc/haproxy/haproxy.cfg")
DEPLOY: Final = Path(__file__).parents[2] / "deploy"
HERE: Final = ("127.0.0.1:2024", "127.0.0.1:2025")
"""Where servers are, as the files say."""


class Proxy(NamedTuple):
    """A proxy that answers for a server."""

    url: str
    ws: str
    """What the addresses of WebSockets begin with."""
    http: httpx.Client
    errors: Path
    """What it has to say, if it is nginx."""


def program(kind: Kind) -> str | None:
    """Return where a proxy is, None if it is not here."""
    return shutil.which(kind, path=_PATH)


def shipped(name: str, replaced: Mapping[str, str] | None = None) -> str:
    """Return a file of `deploy`, with other texts in the place of some."""
    text = (DEPLOY / name).read_text(encoding="utf-8")
    for old, new in (replaced or {}).items():
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    return text


def placed(name: str, targets: Sequence[str], replaced: Mapping[str, str]) -> str:
    """Return a file of `deploy` with servers where they are, as many lines of them as there are."""
    lines = []
    for line in shipped(name, replaced).splitlines():
        at = next((number for number, here in enumerate(HERE) if here in line), None)
        if at is None:
            lines.append(line)
        elif at < len(targets):
            lines.append(line.replace(HERE[at], targets[at]))
    return "\n".join(lines) + "\n"


def nginx(folder: Path, port: int, targets: Sequence[str], seconds: int | None) -> list[str]:
    """Write Debian's configuration with ours in it, and return the command."""
    site = folder / "site.conf"
    timeouts = "" if seconds is None else f"proxy_read_timeout {seconds}s; send_timeout {seconds}s;"
    here = {"listen 80;": f"listen 127.0.0.1:{port}; {timeouts}"}
    site.write_text(placed("nginx.conf", targets, here))
    text = NGINX.read_text()
    text = re.sub(r"(?m)^(pid|error_log|\s*access_log) .*;", "", text)
    text = re.sub(r"(?m)^include .*modules-enabled.*;", "", text)
    text = text.replace("/etc/nginx/sites-enabled/*", str(site))
    assert str(site) in text
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/errors warn;\n"
        + text.replace("http {", f"http {{ access_log {folder}/access;", 1)
    )
    return [str(program("nginx")), "-p", str(folder), "-c", str(folder / "nginx.conf")]


def haproxy(folder: Path, port: int, targets: Sequence[str], seconds: int | None) -> list[str]:
    """Do the same with haproxy's."""
    text = re.sub(
        r"(?m)^\s*(chroot|stats|user|group|daemon|log\s+/dev)\b.*\n", "", HAPROXY.read_text()
    )
    (folder / "haproxy.cfg").write_text(text)
    client, server = (
        "" if seconds is None else f"\n    timeout {end} {seconds}s" for end in ("client", "server")
    )
    here = {
        "bind :80": f"bind 127.0.0.1:{port}{client}",
        "balance leastconn": f"balance leastconn{server}",
    }
    (folder / "millstream.cfg").write_text(placed("haproxy.cfg", targets, here))
    files = [str(folder / name) for name in ("haproxy.cfg", "millstream.cfg")]
    return [str(program("haproxy")), "-db", "-f", files[0], "-f", files[1]]


_COMMANDS: Final[dict[Kind, Callable[[Path, int, Sequence[str], int | None], list[str]]]] = {
    "nginx": nginx,
    "haproxy": haproxy,
}


@contextmanager
def proxying(
    kind: Kind, url: str, folder: Path, seconds: int | None = None, *, other: str | None = None
) -> Iterator[Proxy]:
    """Have a proxy before a server, and another one; with its own timeouts, or others."""
    port = free_port()
    targets = [each.removeprefix("http://") for each in (url, other) if each is not None]
    command = _COMMANDS[kind](folder, port, targets, seconds)
    here = f"http://127.0.0.1:{port}"
    with (
        listening(command, port, folder / "told.txt"),
        httpx.Client(base_url=here, timeout=60) as http,
    ):
        yield Proxy(here, f"ws://127.0.0.1:{port}", http, folder / "errors")


def as_server(proxy: Proxy, server: Any) -> Any:
    """Return a server that is spoken to through a proxy."""
    return server._replace(url=proxy.url, http=proxy.http)
