"""Whose a run is, how urgent, and when it is its turn."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

revision = "0008"
down_revision = "0007"

SORT = (
    "UPDATE runs SET start_at = NULL WHERE status <> 'pending'",
    "UPDATE runs SET due_at = created_at WHERE start_at IS NULL",
    """
    UPDATE runs SET turn = 1
    WHERE status = 'pending' AND start_at IS NULL AND NOT EXISTS (
        SELECT 1 FROM runs AS other
        WHERE other.thread_id = runs.thread_id
        AND (
            other.status = 'running'
            OR other.status = 'pending' AND other.start_at IS NULL
            AND (other.created_at, other.run_id) < (runs.created_at, runs.run_id)
        )
    )
    """,
)
"""What says of the runs that are there which of them want nothing but a slot."""


def upgrade() -> None:
    """Take this step."""
    op.add_column("runs", sa.Column("due_at", sa.Text(), nullable=True))
    op.add_column(
        "runs", sa.Column("priority", sa.Integer(), server_default=text("0"), nullable=False)
    )
    op.add_column("runs", sa.Column("owner", sa.Text(), server_default=text("''"), nullable=False))
    op.add_column("runs", sa.Column("turn", sa.BigInteger(), nullable=True))
    op.add_column("threads", sa.Column("priority", sa.Integer(), nullable=True))
    op.add_column("threads", sa.Column("fairness_group", sa.Text(), nullable=True))
    for statement in SORT:
        op.execute(statement)
    op.drop_index("ix_runs_unfinished", "runs")
    unfinished, queued = "status IN ('pending', 'running')", "turn IS NOT NULL"
    for name, columns, condition in (
        ("unfinished", ["thread_id", "created_at", "run_id"], unfinished),
        ("queue", ["priority", "turn", "due_at", "run_id"], queued),
        ("turns", ["owner", "priority", "turn"], queued),
        ("put_off", ["start_at"], "start_at IS NOT NULL"),
    ):
        op.create_index(
            f"ix_runs_{name}",
            "runs",
            columns,
            sqlite_where=text(condition),
            postgresql_where=text(condition),
        )
