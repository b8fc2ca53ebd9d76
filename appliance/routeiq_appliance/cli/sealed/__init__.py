"""A network that reaches nothing, and the sensor that proves it: for the demo, the end-to-end tests, the egress proof.

`network` makes the namespaces, `sensor` counts what leaves, `forward` lets the host in, `process` runs things inside.
Linux only; needs `ip` (iproute2) and `nft` (nftables), and root or unprivileged user namespaces.
"""
