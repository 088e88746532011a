"""Changes of threads that take more than one transaction, and what a command has found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"


def upgrade() -> None:
    """Take this step."""
    op.add_column("runs", sa.Column("found", sa.Text(), nullable=True))
    op.create_table(
        "thread_changes",
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("begun_at", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("thread_id", name=op.f("pk_thread_changes")),
    )
