"""The servers that share a database, and what each of them holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Take this step."""
    op.create_table(
        "replicas",
        sa.Column("replica_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Text(), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("lock", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("replica_id", name=op.f("pk_replicas")),
    )
    op.create_table(
        "thread_readers",
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("replica_id", sa.Text(), nullable=False),
        sa.Column("wants_protocol", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["replica_id"],
            ["replicas.replica_id"],
            name=op.f("fk_thread_readers_replica_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("thread_id", "replica_id", name=op.f("pk_thread_readers")),
    )
    op.add_column("runs", sa.Column("holder", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("revision", sa.Text(), nullable=True))
    op.add_column(
        "runs",
        sa.Column("is_followed", sa.Boolean(), server_default=text("false"), nullable=False),
    )
    op.add_column(
        "runs", sa.Column("shown", sa.Integer(), server_default=text("0"), nullable=False)
    )
    op.add_column("runs", sa.Column("result", sa.LargeBinary(), nullable=True))
    op.add_column("thread_changes", sa.Column("holder", sa.Text(), nullable=True))
    op.add_column("deliveries", sa.Column("holder", sa.Text(), nullable=True))
    held = "holder IS NOT NULL AND status IN ('pending', 'running')"
    op.create_index(
        "ix_runs_held",
        "runs",
        ["holder"],
        sqlite_where=text(held),
        postgresql_where=text(held),
    )
