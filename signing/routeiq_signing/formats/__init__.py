"""Which files may be in a model: an allowlist by content. Start at `check`.

`interface` is what a format is; each sibling is one. `danger` recognises formats that run code when they are loaded,
for the message only: what is not on the allowlist is refused whether it is recognised or not.
"""
