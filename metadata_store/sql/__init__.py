"""The store in SQLite or PostgreSQL; the one place that knows SQLAlchemy."""

from metadata_store.sql.store import SqlStore

__all__ = ["SqlStore"]
