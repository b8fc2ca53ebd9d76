"""What comes out: deterministic layers, images, the bundle and its inputs, and the mirror at the site.

Start at `create` (a bundle from locks and pool) or `mirror` (a bundle into a registry). Only `create` and what it
imports need the build host's libraries.
"""
