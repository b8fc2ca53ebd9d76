"""Rerank, moderations, images and audio: which fields. Pure.

Shapes: OpenAI API reference; Cohere's and Jina's rerank.
"""

from typing import Any

from routeiq_appliance.api.fields.checks import (
    Fields,
    a_boolean,
    a_number,
    a_string,
    an_integer,
    an_object,
    choice,
    strings,
)

__all__ = ["IMAGE", "MODERATION", "RERANK", "SPEECH", "TRANSCRIPTION"]


def _documents(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(a_string(item) or an_object(item) for item in value)
    )


def _parts(value: Any) -> bool:
    return a_string(value) or _documents(value)


RERANK: Fields = {
    "documents": ("a list of strings or objects", _documents),
    "max_chunks_per_doc": ("a whole number above 0", an_integer(1)),
    "max_tokens_per_doc": ("a whole number above 0", an_integer(1)),
    "query": ("a string", a_string),
    "rank_fields": ("a list of strings", strings),
    "return_documents": ("true or false", a_boolean),
    "top_n": ("a whole number above 0", an_integer(1)),
}
MODERATION: Fields = {"input": ("a string or a list", _parts)}
IMAGE: Fields = {
    "background": ("a string", a_string),
    "moderation": ("a string", a_string),
    "n": ("a whole number from 1 to 10", an_integer(1, 10)),
    "output_compression": ("a whole number from 0 to 100", an_integer(0, 100)),
    "output_format": ("a string", a_string),
    "prompt": ("a string", a_string),
    "quality": ("a string", a_string),
    "response_format": ("a string", a_string),
    "size": ("a string", a_string),
    "style": ("a string", a_string),
    "user": ("a string", a_string),
}
SPEECH: Fields = {
    "input": ("a string", a_string),
    "instructions": ("a string", a_string),
    "response_format": ("a string", a_string),
    "speed": ("a number from 0.25 to 4", a_number(0.25, 4)),
    "voice": ("a string or an object", lambda v: a_string(v) or choice(v) or an_object(v)),
}
TRANSCRIPTION: Fields = {
    "include": ("a list of strings", strings),
    "language": ("a string", a_string),
    "prompt": ("a string", a_string),
    "response_format": ("a string", a_string),
    "temperature": ("a number from 0 to 1", a_number(0, 1)),
    "timestamp_granularities": ("a list of strings", strings),
}
