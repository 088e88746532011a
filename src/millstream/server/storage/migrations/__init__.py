"""The tables' history: `versions` has a module for each step, `migrate` takes those that miss.

A newer version may bring the tables up to date while servers of the version before use them. So a
step adds what those do not look at, with defaults for what they write, and takes nothing away that
they need; `USABLE_FROM` says up to which version back that is so, and is noted in the tables. What
is to go, a later version takes away. An index of a step, `INDEXES`, can be made beforehand, while
others write.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, inspect, text

HEAD: Final = "0011"
"""The last step: a database that has taken it is ready without a look at the others."""
USABLE_FROM: Final = "0009"
"""Programs that know the steps up to this one may use tables that have taken all of them."""


class NewerDatabaseError(RuntimeError):
    """A newer version of millstream has changed the tables."""


def migrate(connection: Connection, name: str) -> None:
    """Bring the tables of a database up to date, in a transaction that has begun."""
    if is_needed(connection, name):
        take(connection, name, HEAD)


def is_needed(connection: Connection, name: str) -> bool:
    """Say whether tables lack a step; `NewerDatabaseError` if they cannot be used."""
    found = revision(connection)
    if found is not None and is_newer(found):
        oldest = usable_from(connection)
        if not is_usable(found, oldest):
            raise NewerDatabaseError(newer(name, found, oldest))
        return False
    return found != HEAD


def is_newer(found: str) -> bool:
    """Say whether a step is one that this version does not know."""
    return found > HEAD


def is_usable(found: str, usable_from: str | None) -> bool:
    """Say whether this version can use tables that have taken a step.

    `usable_from` is what is noted in them, None if nothing is.
    """
    return not is_newer(found) or (usable_from is not None and usable_from <= HEAD)


def newer(name: str, found: str, usable_from: str | None) -> str:
    """Return what to say of tables that this version cannot use."""
    needed = "" if usable_from is None else f", whoever uses it has to know step {usable_from}"
    return (
        f"the database {name} is of a newer version of millstream (it has taken step {found}"
        f"{needed}; this version knows those up to {HEAD}); start that one, or name another "
        "database"
    )


def steps() -> Mapping[str, str]:
    """Return the names of all steps by their numbers, in their order."""
    files = sorted(Path(__file__).with_name("versions").glob("_0*.py"))
    return {path.stem[1:5]: path.stem[1:] for path in files}


def indexes(step: str) -> Mapping[str, str]:
    """Return what of a step can be made beforehand: names of indexes, and what they are on."""
    module = import_module(f"{__name__}.versions._{steps()[step]}")
    found: Mapping[str, str] = getattr(module, "INDEXES", {})
    return found


def revision(connection: Connection) -> str | None:
    """Return the last step that a database has taken, None if it has taken none."""
    return _noted(connection, "alembic_version", "version_num")


def usable_from(connection: Connection) -> str | None:
    """Return up to which step programs have to know, None if that is not noted."""
    return _noted(connection, "usable_from", "step")


def _noted(connection: Connection, table: str, column: str) -> str | None:
    if not inspect(connection).has_table(table):
        return None
    found: str | None = connection.scalar(text(f"SELECT {column} FROM {table}"))
    return found


def take(connection: Connection, name: str, last: str) -> None:
    """Take the steps that miss, up to one of them."""
    # Imported by the one start in many that needs it.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    from millstream.server.storage.tables import metadata

    script = ScriptDirectory(str(Path(__file__).parent))

    def steps(revision: Any, _: Any) -> Any:
        return script._upgrade_revs(last, revision)

    with EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        try:
            environment.run_migrations()
        except CommandError as error:
            raise NewerDatabaseError(
                f"the database {name} is of another version of millstream ({error}); start that "
                "one, or name another database"
            ) from error
    if last == HEAD:
        connection.execute(text("DELETE FROM usable_from"))
        connection.execute(text("INSERT INTO usable_from VALUES (:step)"), {"step": USABLE_FROM})
