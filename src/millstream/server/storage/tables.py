"""The tables, and how their values are stored.

Times are texts in UTC, of one form: they sort as times do, in both databases. What may be large is
the last column, so that looking through the others does not read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

from millstream.server.encoding import dumps
from millstream.server.storage.nul import hidden_in_json, is_postgres, shown_in_json

if TYPE_CHECKING:
    from millstream.server.encryption.sealer import Sealer

_SEALER: Final = "millstream_sealer"
"""Where the dialect of an engine, which all types are given, has what seals its values."""


IS_FREE: Final = "is_free"
"""What is noted of a column whose texts are whatever somebody has written."""


def seal_with(engine: Engine, sealer: Sealer | None) -> None:
    """Have values sealed on their way to a database, and opened on their way back."""
    setattr(engine.dialect, _SEALER, sealer)


class _PostgresJson(UserDefinedType[str]):
    """A column of JSON whose values the driver is given as texts, and gives as texts."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """Return what the column is called in a table."""
        return self.name


class Json(TypeDecorator[Any]):
    """A value of JSON; None is no value. `model` and `field` are what handlers know it by.

    It is kept as the text that it is, so that keys stay in their order.
    """

    impl = Text
    cache_ok = True
    postgres_name = "JSON"

    def __init__(self, model: str = "", field: str = "") -> None:
        super().__init__()
        self.model = model
        self.field = field

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column's type in a database."""
        return _PostgresJson(self.postgres_name) if is_postgres(dialect) else Text()

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return what the database is given."""
        if value is None:
            return None
        sealer = _sealer_of(dialect)
        if sealer is not None:
            value = sealer.seal_json(self.model, self.field, value)
        text = dumps(value).decode()
        return hidden_in_json(text) if is_postgres(dialect) else text

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return what the database has."""
        if value is None:
            return None
        found = orjson.loads(_text_of(value, dialect))
        sealer = _sealer_of(dialect)
        return found if sealer is None else sealer.open_json(self.model, self.field, found)


class SearchedJson(Json):
    """An object of JSON that is looked for by what it contains: PostgreSQL sorts its keys."""

    cache_ok = True
    postgres_name = "JSONB"


class RawJson(Json):
    """A value of JSON that is only passed on: it stays a text."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return what goes into an answer, or into another row, as it is."""
        if value is None:
            return None
        if _sealer_of(dialect) is not None:
            return orjson.Fragment(dumps(super().process_result_value(value, dialect)))
        return orjson.Fragment(_text_of(value, dialect))


def _text_of(stored: str, dialect: Dialect) -> str:
    return shown_in_json(stored) if is_postgres(dialect) else stored


class SealedBytes(TypeDecorator[bytes]):
    """Bytes, or None; `model` and `field` are what handlers know them by."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, model: str, field: str) -> None:
        super().__init__()
        self.model = model
        self.field = field

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Return what the database is given."""
        sealer = _sealer_of(dialect)
        if sealer is None or value is None:
            return value
        return sealer.seal_bytes(self.model, self.field, value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return what the database has."""
        sealer = _sealer_of(dialect)
        if sealer is None or value is None:
            return value
        return sealer.open_bytes(self.model, self.field, bytes(value))


def _sealer_of(dialect: Dialect) -> Sealer | None:
    sealer: Sealer | None = getattr(dialect, _SEALER, None)
    return sealer


metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

assistants: Final = Table(
    "assistants",
    metadata,
    Column("assistant_id", Text, primary_key=True),
    Column("graph_id", Text, nullable=False, index=True, info={IS_FREE: True}),
    Column("name", Text, info={IS_FREE: True}),
    Column("description", Text),
    Column("version", Integer, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
    Column("metadata", SearchedJson("assistant", "metadata"), nullable=False),
    Column("config", Json("assistant", "config"), nullable=False),
    Column("context", Json("assistant", "context"), nullable=False),
)

assistant_versions: Final = Table(
    "assistant_versions",
    metadata,
    Column(
        "assistant_id",
        ForeignKey("assistants.assistant_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("version", Integer, primary_key=True),
    Column("graph_id", Text, nullable=False),
    Column("name", Text),
    Column("description", Text),
    Column("created_at", Text, nullable=False),
    Column("metadata", SearchedJson("assistant", "metadata"), nullable=False),
    Column("config", Json("assistant", "config"), nullable=False),
    Column("context", Json("assistant", "context"), nullable=False),
)


def _of_listed(name: str, *columns: str) -> Index:
    """Return an index of the threads that clients see when they look for some."""
    return Index(
        name,
        *columns,
        sqlite_where=text("is_temporary = 0"),
        postgresql_where=text("is_temporary = false"),
    )


threads: Final = Table(
    "threads",
    metadata,
    Column("thread_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
    Column("state_updated_at", Text, nullable=False),
    Column("ttl_strategy", Text),
    Column("ttl_minutes", Float),
    Column("expires_at", Text, index=True),
    # What is said of its runs, see `server.priorities`; None if nobody was asked.
    Column("priority", Integer),
    Column("fairness_group", Text),
    # The thread of a stateless run, which ends with it.
    Column("is_temporary", Boolean, nullable=False, server_default=text("false")),
    Column("metadata", SearchedJson("thread", "metadata"), nullable=False),
    Column("config", Json("thread", "config"), nullable=False),
    Column("error", Json("thread", "error")),
    Column("interrupts", Json("thread", "interrupts")),
    Column("values", Json("thread", "values")),
    # With all that is needed to sort what is found, and to count it.
    _of_listed("ix_threads_listed_created_at", "created_at", "thread_id"),
    _of_listed("ix_threads_listed_updated_at", "updated_at", "thread_id"),
    _of_listed("ix_threads_listed_status", "status", "created_at", "thread_id"),
    # All others.
    Index(
        "ix_threads_temporary",
        "thread_id",
        sqlite_where=text("is_temporary = 1"),
        postgresql_where=text("is_temporary = true"),
    ),
)

UNFINISHED: Final = text("status IN ('pending', 'running')")
"""The condition that a run is under way, in the words of the index."""
UNFINISHED_RUN: Final = text("runs.status IN ('pending', 'running')")
"""The same where another table has a status, too."""
QUEUED: Final = text("turn IS NOT NULL")
"""The condition that a run wants nothing but a slot."""
GOING_ON: Final = text("turn = 0")
"""The condition that a run has begun before, and waits to be gone on with."""
PUT_OFF: Final = text("start_at IS NOT NULL")
"""The condition that the time of a run has not come yet."""
HELD: Final = text("holder IS NOT NULL AND status IN ('pending', 'running')")
"""The condition that a replica has to do with a run that has not ended."""

runs: Final = Table(
    "runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("thread_id", ForeignKey("threads.thread_id", ondelete="CASCADE"), nullable=False),
    Column("assistant_id", Text, nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("multitask_strategy", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
    # Not before this time: `after_seconds`. None once it has come.
    Column("start_at", Text),
    # When it could have begun, had there been a slot and nothing else of its thread.
    Column("due_at", Text),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    # Whose it is, see `runs.turns`.
    Column("owner", Text, nullable=False, server_default=text("''")),
    # When it is its owner's turn. Only while it is in the queue: while it wants nothing but a slot.
    Column("turn", BigInteger),
    Column("started_at", Text),
    Column("ended_at", Text),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    # The replica that carries it out, or sees to what one has left that died.
    Column("holder", Text),
    # Of the graphs with which its last attempt has begun, see `runs.revisions`.
    Column("revision", Text),
    # Why it is to stop that runs.
    Column("stop", Text),
    # The checkpoint that the last attempt went on from, and how many have died since it was made.
    Column("place", Text),
    Column("deaths", Integer, nullable=False, server_default=text("0")),
    # What there was of the thread before a command was given to it: see `runs.commands`.
    Column("found", Text),
    Column("is_resumable", Boolean, nullable=False, server_default=text("false")),
    # Another replica than its holder reads it: its events are stored, and its result.
    Column("is_followed", Boolean, nullable=False, server_default=text("false")),
    # Up to which of its events others may read.
    Column("shown", Integer, nullable=False, server_default=text("0")),
    Column("idempotency_key", Text, unique=True),
    Column("metadata", SearchedJson("run", "metadata"), nullable=False),
    Column("error", Json("run", "error")),
    Column("kwargs", Json("run", "kwargs"), nullable=False),
    # What those get who wait for it at another replica.
    Column("result", SealedBytes("run", "result")),
    Index("ix_runs_thread_id_created_at", "thread_id", "created_at"),
    # Of a thread, in the order in which they came.
    Index(
        "ix_runs_unfinished",
        "thread_id",
        "created_at",
        "run_id",
        sqlite_where=UNFINISHED,
        postgresql_where=UNFINISHED,
    ),
    Index(
        "ix_runs_queue",
        "priority",
        "turn",
        "due_at",
        "run_id",
        sqlite_where=QUEUED,
        postgresql_where=QUEUED,
    ),
    Index(
        "ix_runs_going_on",
        "revision",
        "priority",
        "due_at",
        "run_id",
        sqlite_where=GOING_ON,
        postgresql_where=GOING_ON,
    ),
    Index(
        "ix_runs_turns",
        "owner",
        "priority",
        "turn",
        sqlite_where=QUEUED,
        postgresql_where=QUEUED,
    ),
    Index(
        "ix_runs_put_off",
        "start_at",
        sqlite_where=PUT_OFF,
        postgresql_where=PUT_OFF,
    ),
    Index("ix_runs_held", "holder", sqlite_where=HELD, postgresql_where=HELD),
    Index(
        "ix_runs_one_running",
        "thread_id",
        unique=True,
        sqlite_where=text("status = 'running'"),
        postgresql_where=text("status = 'running'"),
    ),
)

run_events: Final = Table(
    "run_events",
    metadata,
    Column("run_id", ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    # When it was said; with `seq` this is its id.
    Column("ms", BigInteger, nullable=False),
    Column("mode", Text, nullable=False),
    # What has to be stored of the run for it to count.
    Column("needs", Text),
    # As it goes to whoever reads it.
    Column("frame", SealedBytes("run", "events"), nullable=False),
    sqlite_with_rowid=False,
)

crons: Final = Table(
    "crons",
    metadata,
    Column("cron_id", Text, primary_key=True),
    Column("assistant_id", Text, nullable=False, index=True),
    Column("thread_id", ForeignKey("threads.thread_id", ondelete="CASCADE"), index=True),
    Column("user_id", Text),
    Column("schedule", Text, nullable=False),
    Column("timezone", Text),
    Column("on_run_completed", Text),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
    Column("end_time", Text, info={IS_FREE: True}),
    Column("next_run_date", Text, index=True),
    Column("metadata", SearchedJson("cron", "metadata"), nullable=False),
    Column("payload", Json("cron", "payload"), nullable=False),
    # Who has made it, and what they may see: its runs are theirs.
    Column("asker", Json("cron", "asker"), nullable=False, server_default="{}"),
)

thread_changes: Final = Table(
    "thread_changes",
    metadata,
    # No key: some threads are not there yet, and some no more.
    Column("thread_id", Text, primary_key=True),
    # What is under way with it, see `storage.changes`.
    Column("kind", Text, nullable=False),
    Column("begun_at", Text, nullable=False),
    # The replica that sees to it; None where any may.
    Column("holder", Text),
)
STILL: Final = ("update", "creation")
"""The kinds of changes that a run waits for which is asked for."""

deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("delivery_id", Text, primary_key=True),
    # No key: the webhook is told also of runs that are not kept.
    Column("run_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", Text, nullable=False, index=True),
    # The replica that tells the webhook now.
    Column("holder", Text),
    Column("body", Json("run", "webhook"), nullable=False),
)

replicas: Final = Table(
    "replicas",
    metadata,
    Column("replica_id", Text, primary_key=True),
    # Where it is, for people.
    Column("name", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    # In seconds since 1970, by the clock of the database: then what it holds is for others.
    Column("lease_until", Float, nullable=False),
    # The number of a lock that it has while it is connected, None if it has had none.
    Column("lock", Integer),
    # How many runs it carries out at a time; none when it is about to end.
    Column("slots", Integer, nullable=False, server_default=text("1")),
)

thread_readers: Final = Table(
    "thread_readers",
    metadata,
    # No key: some are not there yet.
    Column("thread_id", Text, primary_key=True),
    Column("replica_id", ForeignKey("replicas.replica_id", ondelete="CASCADE"), primary_key=True),
    # Somebody reads protocol events there.
    Column("wants_protocol", Boolean, nullable=False, server_default=text("false")),
)

usable_from: Final = Table(
    "usable_from",
    metadata,
    # Programs that know no later step than this one may use the tables, see `migrations`.
    Column("step", Text, primary_key=True),
)
