"""Python wheels: read the pip-tools locks, choose each wheel, and bring the missing ones into the pool."""
