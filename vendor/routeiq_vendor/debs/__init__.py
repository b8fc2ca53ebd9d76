"""Debian packages: resolved with apt, locked with SHA-256, fetched from the host's mirror."""
