"""What is kept: keys and calls, in SQLite (`ROUTEIQ_DATA_DIR`) or PostgreSQL; one schema, migrated by Alembic."""
