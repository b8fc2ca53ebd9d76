"""What goes into a bundle: the locks, and the fetchers that fill the content-addressed pool.

Start at `fetch` (everything the locks name, into the pool), `renew` (new locks) and `pool`.
"""
