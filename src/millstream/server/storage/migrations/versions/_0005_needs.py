"""What has to be stored of a run for one of its events to count, instead of where it was said."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Take this step."""
    op.drop_column("run_events", "superstep")
    op.add_column("run_events", sa.Column("needs", sa.Text(), nullable=True))
