"""A PostgreSQL server of the tests' own."""

from tests.contracts.postgresql import postgresql_server, postgresql_url

__all__ = ["postgresql_server", "postgresql_url"]
