"""Alembic's scripts, packaged; run by `state.migrate`."""
