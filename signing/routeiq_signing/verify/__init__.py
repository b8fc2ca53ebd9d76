"""Verifying a bundle, in numbered steps; start at `bundle`.

`order` says which member comes where, `layout` what the OCI documents must agree on, `report` what is told. All of
it is the standard library of Python 3.9: the same files are `verify.pyz`.
"""
