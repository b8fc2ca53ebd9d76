"""Alembic's entry: runs migrations on the connection that `state.migrate` opened, in its transaction."""

from alembic import context

from routeiq_appliance.state.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True
)
context.run_migrations()
