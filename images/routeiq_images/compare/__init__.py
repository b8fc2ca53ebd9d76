"""Comparing bundles: the difference down to the lines of a file, and the same bundle built again from its inputs."""
