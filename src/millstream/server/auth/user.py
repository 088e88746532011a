"""Who calls: a dict that is kept with runs, and the attributes that handlers look for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any


class User(dict[str, Any]):
    """A caller. What an authenticate handler says besides the usual is a key and an attribute."""

    def __getattr__(self, name: str) -> Any:
        """Return what the handler says of the caller."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"nothing is known of the caller's {name!r}") from None

    @property
    def identity(self) -> str:
        """Return what tells callers apart."""
        return str(self.get("identity", ""))

    @property
    def display_name(self) -> str:
        """Return the name for people."""
        return str(self.get("display_name", self.identity))

    @property
    def is_authenticated(self) -> bool:
        """Return whether it is known who that is."""
        return bool(self.get("is_authenticated", True))

    @property
    def permissions(self) -> Sequence[str]:
        """Return what the handler says the caller may do."""
        return list(self.get("permissions") or ())


def as_user(given: Any) -> User:
    """Return the user that an authenticate handler has returned: a text, a mapping, an object."""
    if isinstance(given, str):
        known: dict[str, Any] = {"identity": given}
    elif isinstance(given, Mapping):
        known = dict(given)
    else:
        known = _fields(given)
    if not isinstance(known.get("identity"), str) or not known["identity"]:
        raise TypeError(
            "an authenticate handler returns who calls: a text, or something with an identity, "
            f"not a {type(given).__name__}"
        )
    user = User(known)
    usual = {
        "is_authenticated": user.is_authenticated,
        "display_name": user.display_name,
        "permissions": user.permissions,
    }
    return User({**known, **usual})


def _fields(given: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        found = dataclasses.asdict(given)
    elif callable(dump := getattr(given, "model_dump", None)):
        found = dump()
    else:
        found = {key: value for key, value in vars(given).items() if not key.startswith("_")}
    # Properties are in none of these.
    for name in ("identity", "display_name", "is_authenticated", "permissions"):
        value = getattr(given, name, None)
        if value is not None:
            found[name] = value
    return found
