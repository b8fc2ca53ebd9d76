"""Models that were not in training, known by their own answers to prompts that a program can check."""
