"""The tables' history: `versions` has a module for each step, `migrate` takes those that miss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, inspect, text

HEAD: Final = "0010"
"""The last step: a database that has taken it is ready without a look at the others."""


class NewerDatabaseError(RuntimeError):
    """A newer version of millstream has changed the tables."""


def migrate(connection: Connection, name: str) -> None:
    """Bring the tables of a database up to date, in a transaction that has begun."""
    if revision(connection) != HEAD:
        _upgrade(connection, name)


def steps() -> Mapping[str, str]:
    """Return the names of all steps by their numbers, in their order."""
    files = sorted(Path(__file__).with_name("versions").glob("_0*.py"))
    return {path.stem[1:5]: path.stem[1:] for path in files}


def revision(connection: Connection) -> str | None:
    """Return the last step that a database has taken, None if it has taken none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _upgrade(connection: Connection, name: str) -> None:
    # Imported by the one start in many that needs it.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    from millstream.server.storage.tables import metadata

    script = ScriptDirectory(str(Path(__file__).parent))

    def steps(revision: Any, _: Any) -> Any:
        return script._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        try:
            environment.run_migrations()
        except CommandError as error:
            raise NewerDatabaseError(
                f"the database {name} is of a newer version of millstream ({error}); start that "
                "one, or name another database"
            ) from error
