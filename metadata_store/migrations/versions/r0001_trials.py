"""Tasks, trials, and the names, architectures and epoch grids they share."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "metanas_task",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("n_samples", sa.BigInteger, nullable=False),
        sa.Column("n_classes", sa.BigInteger),
        sa.Column("input_shape", sa.Text, nullable=False),
        sa.Column("dcn", sa.Double),
        sa.Column("features", sa.Text, nullable=False),
    )
    for table in ("metanas_space", "metanas_source", "metanas_metric"):
        op.create_table(
            table,
            sa.Column("id", KEY, primary_key=True),
            sa.Column("name", sa.Text, nullable=False, unique=True),
        )
    op.create_table(
        "metanas_architecture",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("space_id", KEY, sa.ForeignKey("metanas_space.id"), nullable=False),
        sa.Column("choices", sa.Text, nullable=False),
    )
    op.create_table(
        "metanas_grid",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("epochs", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "metanas_trial",
        sa.Column("id", KEY, primary_key=True),
        sa.Column("task_id", KEY, sa.ForeignKey("metanas_task.id"), nullable=False),
        sa.Column("architecture_id", KEY, sa.ForeignKey("metanas_architecture.id"), nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("source_id", KEY, sa.ForeignKey("metanas_source.id"), nullable=False),
        sa.Column("space_id", KEY, sa.ForeignKey("metanas_space.id"), nullable=False),
        sa.Column("metric_id", KEY, sa.ForeignKey("metanas_metric.id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("grid_id", KEY, sa.ForeignKey("metanas_grid.id"), nullable=False),
        sa.Column("n_points", sa.Integer, nullable=False),
        sa.Column("curve", sa.LargeBinary, nullable=False),
        sa.Column("extras", sa.Text, nullable=False),
        sa.UniqueConstraint(
            "task_id", "architecture_id", "seed", "source_id", name="metanas_trial_identity"
        ),
    )
    op.create_index("metanas_trial_counts", "metanas_trial", ["space_id", "n_points"])
