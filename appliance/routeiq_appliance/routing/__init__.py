"""Routing strategies: which group answers `model: auto`. `interface` beside `simple` and `learned`."""
