"""Where webhooks may go: not to what only this computer or its network is to reach."""

from __future__ import annotations

import base64
import binascii
import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import httpx

from millstream.server.errors import ApiError, ConfigError

SECRET: Final = "MILLSTREAM_WEBHOOK_SECRET"
"""The variable with what webhooks are signed with, if the configuration has nothing."""
_TEMPLATE: Final = re.compile(r"\$\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_LOCAL: Final = ("localhost", "*.localhost", "*.local", "*.internal", "localhost.localdomain")
_UNICAST: Final = IPv6Network("2000::/3")
"""The IPv6 addresses of the public internet; others are local, or an IPv4 address in disguise."""
_NOT_PUBLIC: Final = (
    IPv4Network("192.0.0.0/24"),  # protocols; metadata of machines at Oracle
    IPv4Network("192.88.99.0/24"),  # relays into IPv6
    IPv4Network("168.63.129.16/32"),  # what machines at Microsoft ask about themselves
)
"""What some versions of Python take for public, or is so by its number alone."""
_KEYS: Final = ("env_prefix", "url", "headers", "secret")
_URL_KEYS: Final = {
    "require_https": bool,
    "allowed_domains": list,
    "allowed_ports": list,
    "max_url_length": int,
    "disable_loopback": bool,
    "allow_private": bool,
}


class RefusedUrlError(Exception):
    """A webhook may not go there."""


@dataclass(frozen=True)
class Policy:
    """What the configuration says of webhooks."""

    is_disabled: bool = False
    requires_https: bool = False
    domains: Sequence[str] = ()
    """Patterns of hosts; all of them if there are none."""
    ports: Sequence[int] = ()
    max_length: int = 2048
    allows_private: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    secret: bytes | None = field(default=None, repr=False)

    def check(self, text: str | None) -> None:
        """Refuse a URL that a client gives; whose name leads elsewhere is seen when it is sent."""
        if text is None:
            return
        if self.is_disabled:
            raise ApiError(422, "Webhooks are disabled on this server")
        try:
            self.parsed(text)
        except RefusedUrlError as error:
            raise ApiError(422, f"Invalid webhook: {error}") from None

    def parsed(self, text: str) -> httpx.URL:
        """Return a URL that a webhook may go to."""
        if len(text) > self.max_length:
            raise RefusedUrlError(f"the URL is longer than {self.max_length} characters")
        try:
            url = httpx.URL(text)
            host = url.raw_host.decode("ascii").rstrip(".").lower()
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise RefusedUrlError(f"{text[:100]!r} is no URL: {error}") from None
        if url.scheme not in ("http", "https") or not host:
            raise RefusedUrlError(f"{text[:100]!r} is not like 'https://example.com/hook'")
        if self.requires_https and url.scheme != "https":
            raise RefusedUrlError("the URL has to begin with https://")
        port = url.port or (443 if url.scheme == "https" else 80)
        if port > 65535:
            raise RefusedUrlError(f"there is no port {port}")
        if self.ports and port not in self.ports:
            raise RefusedUrlError(f"port {port} is none of {', '.join(map(str, self.ports))}")
        if self.domains and not any(fnmatchcase(host, one) for one in self.domains):
            raise RefusedUrlError(f"{host} is none of {', '.join(self.domains)}")
        if not self.allows_private:
            if any(fnmatchcase(host, one) for one in _LOCAL):
                raise RefusedUrlError(f"{host} is no public host")
            if (address := _address_in(host)) is not None:
                self.check_address(address)
        return url

    def check_address(self, address: str) -> None:
        """Refuse an address that not everybody can reach."""
        if not self.allows_private and not is_public(address):
            raise RefusedUrlError(f"{address} is no public address")


def is_public(text: str) -> bool:
    """Say whether an address is one of the public internet, whatever form it has."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        if address not in _UNICAST or address.teredo is not None:
            return False
        if address.sixtofour is None:
            return address.is_global
        address = address.sixtofour
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast


def _address_in(host: str) -> str | None:
    """Return the address that a host is; `127.1`, `0x7f000001` and `2130706433` are one too."""
    try:
        return str(ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def policy_of(
    given: Mapping[str, Any] | None,
    *,
    is_disabled: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Policy:
    """Return the policy that `webhooks` of the configuration says."""
    env = os.environ if environment is None else environment
    secret = env.get(SECRET)
    if given is None:
        return Policy(is_disabled=is_disabled, secret=_secret(secret))
    for key in given:
        if key not in _KEYS:
            raise ConfigError(f"webhooks has no key {key!r}; it has {', '.join(_KEYS)}")
    url = _url(given)
    prefix = given.get("env_prefix", "LG_WEBHOOK_")

    def fill(key: str, text: Any) -> str:
        if not isinstance(text, str):
            raise ConfigError(f"{key} is a text, not {text!r}")

        def of(match: re.Match[str]) -> str:
            name = match[1]
            if not name.startswith(prefix):
                raise ConfigError(f"{key} names {name}, which does not begin with {prefix!r}")
            if name not in env:
                raise ConfigError(f"{key} names {name}, which is not in the environment")
            return env[name]

        return _TEMPLATE.sub(of, text)

    headers = _object(given, "headers")
    if given.get("secret") is not None:
        secret = fill("webhooks.secret", given["secret"])
    return Policy(
        is_disabled=is_disabled,
        requires_https=url.get("require_https", True),
        domains=[str(one).lower() for one in url.get("allowed_domains", ())],
        ports=url.get("allowed_ports", ()),
        max_length=url.get("max_url_length", 2048),
        allows_private=url.get("allow_private", False),
        headers={name: fill(f"webhooks.headers.{name}", text) for name, text in headers.items()},
        secret=_secret(secret),
    )


def _url(given: Mapping[str, Any]) -> Mapping[str, Any]:
    url = _object(given, "url")
    for key, value in url.items():
        if key not in _URL_KEYS:
            raise ConfigError(f"webhooks.url has no key {key!r}; it has {', '.join(_URL_KEYS)}")
        if type(value) is not _URL_KEYS[key]:
            raise ConfigError(f"webhooks.url.{key} is a {_URL_KEYS[key].__name__}, not {value!r}")
    return url


def _object(given: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = given.get(key) or {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"webhooks.{key} is an object, not {value!r}")
    return value


def _secret(text: str | None) -> bytes | None:
    """Return what is signed with; `whsec_` stands before one in base64."""
    if not text:
        return None
    if not text.startswith("whsec_"):
        return text.encode()
    try:
        return base64.b64decode(text[len("whsec_") :], validate=True)
    except binascii.Error:
        raise ConfigError("the webhooks' secret begins with whsec_ and is no base64") from None
