"""What may leave: `switches` before imports, `destinations` from the configuration, `guard` where we dial,
`canaries` at start. The network's own rules are the proof; these are the layers before it.
"""
