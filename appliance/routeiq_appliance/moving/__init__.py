"""Brings a LiteLLM site over: a database or its dump → keys, teams and users of this gateway, and a report.

`dump_file` reads bounded lines, `lexer` finds statements and rows in them, `literals` reads what they say, `source`
checks that it is a whole dump of LiteLLM's and stages its rows in `staging` (`database` does the same from a server).
`values` gives rows their types; `people`, `keys` and `models` decide what becomes of each, `restrictions` what would be
lost; `write` does it all in one transaction. No statement of a dump is ever executed.
"""
