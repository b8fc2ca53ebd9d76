"""Puts into relayed events of a response what OpenAI's schema requires and small servers leave out (llama.cpp does).

Clients follow a stream by these: `sequence_number`, `output_index` and `content_index`, and `output` of a new response.
What is there is left as it is.
"""

from typing import Any

__all__ = ["ResponseMender"]

_NEW = frozenset({"response.created", "response.in_progress"})
_OF_A_PART = ("response.content_part.", "response.output_text.", "response.refusal.")


class ResponseMender:
    """One per stream."""

    def __init__(self) -> None:
        self._number = 0
        self._places: dict[str, int] = {}

    def mend(self, event: dict[str, Any]) -> None:
        """Complete the next event in place."""
        event.setdefault("sequence_number", self._number)
        self._number += 1
        kind = event.get("type")
        if not isinstance(kind, str):
            return
        response, item = event.get("response"), event.get("item")
        if kind in _NEW and isinstance(response, dict):
            response.setdefault("output", [])
        name = item.get("id") if isinstance(item, dict) else event.get("item_id")
        if isinstance(name, str):
            event.setdefault("output_index", self._places.setdefault(name, len(self._places)))
            if kind.startswith(_OF_A_PART):
                event.setdefault("content_index", 0)
