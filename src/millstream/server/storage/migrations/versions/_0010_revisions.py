"""Which replicas carry out runs, and the runs that go on by the revision that has begun them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

revision = "0010"
down_revision = "0009"

INDEXES = {"ix_runs_going_on": "runs (revision, priority, due_at, run_id) WHERE turn = 0"}


def upgrade() -> None:
    """Take this step."""
    op.add_column(
        "replicas", sa.Column("slots", sa.Integer(), server_default=text("1"), nullable=False)
    )
    op.create_table(
        "usable_from",
        sa.Column("step", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("step", name=op.f("pk_usable_from")),
    )
    for name, place in INDEXES.items():
        op.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {place}")
