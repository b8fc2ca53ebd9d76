"""Reports of spend: what they are made of is `state.reports`; here is how they are written, for the API and the CLI."""
