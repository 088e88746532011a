"""Indexes that have all that a search for threads sorts and counts by."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Take this step."""
    for column in ("status", "created_at", "updated_at"):
        op.drop_index(f"ix_threads_{column}", "threads")
    for name, columns in (
        ("created_at", ["created_at", "thread_id"]),
        ("updated_at", ["updated_at", "thread_id"]),
        ("status", ["status", "created_at", "thread_id"]),
    ):
        op.create_index(
            f"ix_threads_listed_{name}",
            "threads",
            columns,
            sqlite_where=text("is_temporary = 0"),
            postgresql_where=text("is_temporary = false"),
        )
