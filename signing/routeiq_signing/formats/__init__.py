"""Which files may be in a model: an allowlist by content. Start at `check`.

`interface` is what a format is; each sibling is one, read within `limits`. `danger`, with `pickles` and `archives`,
recognises formats that run code when they are loaded, for the message only: what is not on the allowlist is refused
whether it is recognised or not. `consent` says what becomes of a refused file that both the signer and the site
want all the same; `inspection` looks at files and folders for people. Nothing here loads or executes anything.
"""
