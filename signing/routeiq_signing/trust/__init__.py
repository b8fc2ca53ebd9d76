"""What a site trusts and remembers: roots, releases' metadata, builders, co-signers. Start at `site.py`."""
