"""Runs revisions on the connection handed over by `metadata_store.sql.schema`."""

from alembic import context

from metadata_store.sql.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
