"""PEP 740: what an index says of who published a wheel, kept beside it."""
