"""Keys, signatures, manifests, and the rules by which a bundle or a model is believed.

Start at `verify.bundle` (a bundle's tar, step by step), `model_trust` (a model's folder) and `keys`.
Importing this package imports nothing else.
"""
