"""SentencePiece's tokenizer models, walked as protobuf (sentencepiece_model.proto): pieces with scores, settings."""

from collections.abc import Mapping

from routeiq_signing.formats.content import Content
from routeiq_signing.formats.interface import Format
from routeiq_signing.formats.limits import FORMAT_LIMITS
from routeiq_signing.formats.protobuf import Schema, Span, Walk

__all__ = ["SENTENCEPIECE"]

_SCHEMA: Schema = {
    "model": {
        1: ("piece", True), 2: ("settings", False), 3: ("settings", False), 4: ("settings", False),
        5: ("settings", False),
    },
    "piece": {1: ("text", False), 2: ("fixed32", False), 3: ("number", False)},
    "settings": None,
}  # fmt: skip


class _Walk(Walk):
    schema = _SCHEMA
    pieces = 0

    def judge(self, message: str, values: Mapping[int, list[int | Span]]) -> None:
        if message == "piece":
            if 1 not in values or 2 not in values:
                raise self.refuse("a piece of a SentencePiece model without text or score")
            self.pieces += 1


def _check(data: Content, name: str) -> None:
    walk = _Walk(data, name)
    if len(data) > FORMAT_LIMITS.document:
        raise walk.refuse(f"{len(data)} bytes, more than the {FORMAT_LIMITS.document} allowed")
    walk.walk("model", 0, len(data))
    if not walk.pieces:
        raise walk.refuse("no SentencePiece model (no pieces)")


SENTENCEPIECE = Format("sentencepiece", lambda name: name.endswith((".model", ".spm")), _check)
