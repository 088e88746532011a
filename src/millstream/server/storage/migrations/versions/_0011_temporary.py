"""Threads of stateless runs, found without a look at all others when they are forgotten."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0011"
down_revision = "0010"

INDEXES = {"ix_threads_temporary": "threads (thread_id) WHERE is_temporary = true"}


def upgrade() -> None:
    """Take this step."""
    op.create_index(
        "ix_threads_temporary",
        "threads",
        ["thread_id"],
        if_not_exists=True,
        sqlite_where=text("is_temporary = 1"),
        postgresql_where=text("is_temporary = true"),
    )
