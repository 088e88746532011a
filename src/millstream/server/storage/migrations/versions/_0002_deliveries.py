"""Who asked for a cron, and what webhooks are still to be told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from millstream.server.storage.tables import Json

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Take this step."""
    # Nobody could make a cron before.
    op.add_column("crons", sa.Column("asker", Json(), server_default="{}", nullable=False))
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.Text(), nullable=False),
        sa.Column("body", Json(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_deliveries")),
    )
    op.create_index(
        op.f("ix_deliveries_next_attempt_at"), "deliveries", ["next_attempt_at"], unique=False
    )
