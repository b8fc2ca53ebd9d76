"""The text that a call is judged by: what its users ask, out of a conversation that a harness may have made. Pure.

Agents and editors wrap a short question in much that is not the user's: system prompts, tool results, reminders,
environment dumps, files, logs. What counts here, in this order:

1. only turns of role `user`, and of these only text (no images, audio, tool results);
2. without blocks that harnesses are known to inject (`_INJECTED`), long fenced code and long runs of log lines;
3. the last turn that then still says something; where it is short ("yes, go on"), the turns before it as well.

Never fails, whatever `messages` holds, and reads at most `Limits.prompt_chars_head` + `prompt_chars_tail` characters of
a part and `_MOST_CHARS` of all: a megabyte costs no more than a few pages.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routeiq_router.limits import DEFAULT_LIMITS, Limits

__all__ = ["PromptText", "prompt_text", "user_words"]

_TEXT_PARTS = ("text", "input_text")
_ENOUGH_CHARS = 200
"""A last turn of fewer is read with the turns before it."""
_MAX_TURNS = 8
_MAX_LOOKED_AT = 40
"""Of the newest user turns: harnesses send thousands that hold no word of the user."""
_MAX_PARTS = 64
_MOST_CHARS = 1 << 17
"""Of the newest turns, with all that harnesses put there; what lies further back is not looked at."""
_LOG_LINES = 8
"""So many lines of a log in a row are a paste, not a question."""
_CODE_CHARS = 600
"""A fenced block of more is a file: its beginning tells what it is."""
_NAMES = (
    "system-reminder|system_reminder|environment_context|environment_details|environment|env|context|ide_selection|"
    "ide_opened_file|attached_files?|attachments?|file_contents?|files?|documents?|file|open_files|"
    "recently_viewed_files|current_file|cursor_position|git_status|gitStatus|workspace_info|project_layout|"
    "command-name|command-message|command-args|local-command-stdout|local-command-stderr|bash-stdout|bash-stderr|"
    "tool_result|tool_results|tool_response|function_results|tool_use_error|user_instructions|INSTRUCTIONS|"
    "additional_data|custom_instructions|rules|available_skills|memory|user_info|repo-map|repository_context"
)
_OPENING = re.compile(rf"<({_NAMES})(?:\s[^<>]{{0,400}})?>")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+")
_FENCE = re.compile(r"(?m)^[ \t]{0,3}(```+|~~~+)")
_LOG = re.compile(
    r"^\s*(?:\[?\d{4}[-/]\d\d[-/]\d\d|\[?\d\d:\d\d:\d\d|(?:\[?(?:DEBUG|INFO|WARN(?:ING)?|ERROR|FATAL|TRACE|CRITICAL)\b)"
    r"|at [\w.$<>]+\(|File \"|Traceback |\s*\.\.\. \d+ more|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|[-drwx]{10} "
    r"|npm ERR!|#\d+ 0x)"
)


@dataclass(frozen=True, slots=True)
class PromptText:
    """What was found; `text` is empty where nothing can be judged, and `reason` then says why."""

    text: str
    reason: str = ""


def prompt_text(messages: Any, limits: Limits = DEFAULT_LIMITS) -> PromptText:
    """Return the users' own words in `messages` (OpenAI's, Anthropic's or Responses' items, or a text)."""
    if isinstance(messages, str):
        words = user_words(messages, limits)
        return PromptText(words) if words else PromptText("", "the prompt has no text to judge")
    if not isinstance(messages, Sequence) or isinstance(messages, bytes | bytearray):
        return PromptText("", "the call has no messages")
    turns: list[str] = []
    most = room = limits.prompt_chars_head + limits.prompt_chars_tail
    users, unread = 0, _MOST_CHARS
    for message in reversed(messages):
        if not isinstance(message, dict) or message.get("role") != "user":
            continue
        users += 1
        parts: list[str] = []
        # The user's own words come last where a harness adds parts of its own.
        for part in reversed(_texts(message)):
            if unread > 0:
                parts.append(user_words(part, limits))
                unread -= min(len(part), most)
        words = "\n".join(filter(None, reversed(parts)))
        if words:
            turns.append(words[:room])
            room -= len(turns[-1])
        if (
            users == _MAX_LOOKED_AT
            or len(turns) == _MAX_TURNS
            or room <= 0
            or unread <= 0
            or sum(map(len, turns)) >= _ENOUGH_CHARS
        ):
            break
    if turns:
        return PromptText("\n".join(reversed(turns)))
    return PromptText("", "no user turn has text to judge" if users else "the call has no user turn")


def user_words(text: str, limits: Limits = DEFAULT_LIMITS) -> str:
    """Return `text` without what harnesses inject and users paste; "" where nothing with a letter or digit is left."""
    head, tail = limits.prompt_chars_head, limits.prompt_chars_tail
    if len(text) > head + tail:
        text = f"{text[:head]}\n{text[-tail:]}"
    text = _CONTROL.sub(" ", text)
    rest = _without_logs(_short_code(_without_injected(text))).strip()
    # As `text.is_blank` has it, which would bring numpy into gateways that route without an artifact.
    return rest if any(character.isalnum() for character in rest) else ""


def _texts(message: dict[str, Any]) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    found = []
    for part in content[-_MAX_PARTS:]:
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, dict) and part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str):
            found.append(part["text"])
    return found


def _without_injected(text: str) -> str:
    """Cut `<name>…</name>` of known names; one that never closes (cut off) is cut to the end of its paragraph."""
    kept, at = [], 0
    never: set[str] = set()  # looked for once: a text of openings would take the square of their number
    while (found := _OPENING.search(text, at)) is not None:
        kept.append(text[at : found.start()])
        close = f"</{found[1]}>"
        end = -1 if close in never else text.find(close, found.end())
        if end < 0:
            never.add(close)
        if end >= 0:
            at = end + len(close)
        else:
            end = text.find("\n\n", found.end())
            at = end if end >= 0 else len(text)
    return "".join([*kept, text[at:]])


def _short_code(text: str) -> str:
    """Cut the rest of long fenced blocks."""
    kept, at = [], 0
    while (opened := _FENCE.search(text, at)) is not None:
        closed = text.find("\n" + opened[1], opened.end())
        end = len(text) if closed < 0 else closed
        kept.append(text[at : min(end, opened.end() + _CODE_CHARS)])
        at = end if closed < 0 else closed + 1 + len(opened[1])
        kept.append("" if closed < 0 else text[closed:at])
    return "".join([*kept, text[at:]])


def _without_logs(text: str) -> str:
    """Keep the first and last line of long runs of log lines: they say what happened."""
    lines = text.split("\n")
    if len(lines) < _LOG_LINES:
        return text
    kept: list[str] = []
    run: list[str] = []
    for line in [*lines, ""]:
        if _LOG.match(line[:200]):
            run.append(line)
            continue
        kept += [run[0], run[-1]] if len(run) >= _LOG_LINES else run
        run = []
        kept.append(line)
    return "\n".join(kept[:-1])
