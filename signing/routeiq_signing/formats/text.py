"""JSON documents, and plain text under the names that model repositories use for it."""

import re

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.content import Content
from routeiq_signing.formats.documents import read_json, read_text
from routeiq_signing.formats.interface import Format
from routeiq_signing.formats.limits import FORMAT_LIMITS

__all__ = ["JSON", "TEXT"]

_NAMES = re.compile(
    r"""(?: .+\.(?:md|tiktoken)
          | (?:license|licence|copying|notice|authors|readme|changelog|citation|use_policy)
                (?:[_-][a-z0-9_-]+)?(?:\.(?:md|txt|rst|cff|bib))?
          | (?:vocab|merges|labels|special_tokens|added_tokens|dict|unigrams)\.txt
          | vocab\.bpe | bpe\.codes | chat_template\.jinja | \.gitattributes | \.gitignore
    )\Z""",
    re.VERBOSE,
)
# Every control character but those that lay out text.
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")


def _check_json(data: Content, name: str) -> None:
    read_json(data, name, size=FORMAT_LIMITS.document, values=FORMAT_LIMITS.json_values)


def _check_text(data: Content, name: str) -> None:
    text = read_text(data, name, FORMAT_LIMITS.text)
    if _CONTROL.search(text):
        raise FormatError(f"{name}: holds control characters, so it is no plain text", subject=name)


JSON = Format("json", lambda name: name.endswith(".json"), _check_json)
TEXT = Format("text", lambda name: _NAMES.match(name) is not None, _check_text)
