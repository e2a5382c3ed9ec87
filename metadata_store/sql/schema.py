"""The tables as they are at the newest revision, and how a database gets there.

A trial is one row of numbers; whatever recurs (names, architectures, grids of
epochs) is a row of another table, so that a learning curve costs four bytes a
point. ``metanas_`` before every name lets the tables share a database, e.g.
with an Optuna study.

Why the revision is compared here and not by Alembic: importing Alembic takes
longer than counting 100,000 trials, and a store is nearly always current.
"""

from __future__ import annotations

import threading
from pathlib import Path

import sqlalchemy as sa

REVISIONS = ("0001",)
"""All schema revisions, oldest first; one file each in ``migrations/versions``."""

VERSION_TABLE = "metanas_revision"

MIGRATIONS = Path(__file__).parent.parent / "migrations"

_metadata = sa.MetaData()
_alembic = threading.Lock()  # its proxies are globals of the process


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)


def _names(table: str) -> sa.Table:
    return sa.Table(
        table, _metadata, _id(), sa.Column("name", sa.Text, nullable=False, unique=True)
    )


def _of(table: sa.Table) -> sa.Column[int]:
    column = table.name.removeprefix("metanas_") + "_id"
    return sa.Column(column, sa.ForeignKey(table.c.id), nullable=False)


TASK = sa.Table(
    "metanas_task",
    _metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("n_samples", sa.BigInteger, nullable=False),
    sa.Column("n_classes", sa.BigInteger),
    sa.Column("input_shape", sa.Text, nullable=False),  # JSON list
    sa.Column("dcn", sa.Double),
    sa.Column("features", sa.Text, nullable=False),  # JSON object
)
SPACE = _names("metanas_space")
SOURCE = _names("metanas_source")
METRIC = _names("metanas_metric")
ARCHITECTURE = sa.Table(
    "metanas_architecture",
    _metadata,
    _id(),
    sa.Column("key", sa.Text, nullable=False, unique=True),  # records.architecture_key
    _of(SPACE),
    sa.Column("choices", sa.Text, nullable=False),  # JSON object
)
GRID = sa.Table(
    "metanas_grid",
    _metadata,
    _id(),
    sa.Column("key", sa.Text, nullable=False, unique=True),  # digest of the epochs
    sa.Column("epochs", sa.LargeBinary, nullable=False),  # int32, little-endian
)
TRIAL = sa.Table(
    "metanas_trial",
    _metadata,
    _id(),
    _of(TASK),
    _of(ARCHITECTURE),
    sa.Column("seed", sa.Integer, nullable=False),
    _of(SOURCE),
    _of(SPACE),  # the architecture's, repeated for the index that counts
    _of(METRIC),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("seconds", sa.Double),  # null where unknown
    _of(GRID),
    sa.Column("n_points", sa.Integer, nullable=False),
    sa.Column("curve", sa.LargeBinary, nullable=False),  # float32, little-endian
    sa.Column("extras", sa.Text, nullable=False),  # JSON object
    sa.UniqueConstraint(
        "task_id", "architecture_id", "seed", "source_id", name="metanas_trial_identity"
    ),
    sa.Index("metanas_trial_counts", "space_id", "n_points"),
)


def revision_of(connection: sa.Connection) -> str | None:
    """The schema revision of the store in this database, None where there is no store."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.scalar(sa.text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return None if found is None else str(found)


def upgrade(connection: sa.Connection) -> None:
    """Brings the store in this database, made if there is none, to the newest revision.

    Runs in the connection's transaction.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _alembic:
        command.upgrade(config, "head")
