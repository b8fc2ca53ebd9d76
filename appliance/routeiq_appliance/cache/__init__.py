"""The exact response cache: the same request of the same caller gets the same answer, without a call.

`wish` reads what a caller says about it, `rules` decide what is kept, `key` whose it is, `entry` is its form at rest,
`memory` and `redis` are the two levels, `response` puts them together, `opening` composes it.
"""
