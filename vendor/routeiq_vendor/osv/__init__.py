"""Advisories in the OSV format: read strictly, kept as one signed file that a site can carry in."""
