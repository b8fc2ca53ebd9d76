"""Which licence everything in the locks has, where that is said, and whether it may be used so."""
