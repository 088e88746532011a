"""What the next attempt at a run has to know of those that died."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Take this step."""
    op.add_column("runs", sa.Column("stop", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("place", sa.Text(), nullable=True))
    op.add_column(
        "runs", sa.Column("deaths", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
    op.add_column("run_events", sa.Column("superstep", sa.Text(), nullable=True))
