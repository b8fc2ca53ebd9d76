"""Prompts with measured scores: reading (`dataset`), splitting (`split`), costs, and their vectors (`embedding`)."""

__all__: list[str] = []
