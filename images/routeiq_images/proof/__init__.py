"""What is said about a bundle: where it came from, what is in it, which of that is known to be vulnerable."""
