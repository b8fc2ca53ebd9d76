"""At the site: a verified bundle goes into the internal registry. Start at `mirror.py`."""
