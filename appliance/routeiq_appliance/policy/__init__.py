"""The policy engine: which calls may run, and with which model. `rules` decides, `gate` stands in the pipeline."""
