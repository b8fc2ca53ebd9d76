"""The shipped suite: a skill a file, each prompt and its answer computed from a seed. Nothing is from a benchmark."""
