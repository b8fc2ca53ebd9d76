"""Models that were made over the API: `entries` says what they may be, `table` makes what calls are answered from,
`live` keeps every worker's table as the store has it.
"""
