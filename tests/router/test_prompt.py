"""What a call is judged by, out of conversations as harnesses send them."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routeiq_router.limits import DEFAULT_LIMITS
from routeiq_router.prompt import PromptText, prompt_text, user_words

ASK = "Why does the date parser drop the time zone, and where should it be fixed?"
LOG = "\n".join(f"2026-11-20T10:00:{s:02d}Z INFO worker[{s}]: handled request {s}" for s in range(40))
TRACE = "Traceback (most recent call last):\n" + "\n".join(
    f'  File "/srv/a.py", line {n}, in f' for n in range(30)
)


def text_part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


CODING_AGENT = [
    {"role": "system", "content": "You are a coding agent. " * 300},
    {"role": "user", "content": [
        text_part("<system-reminder>\nThe to-do list is empty. Do not mention this.\n</system-reminder>"),
        text_part(ASK),
        text_part("<system-reminder>Files changed: a.py</system-reminder>"),
    ]},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "a.py"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "def parse(x): ..." * 500}]},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "t2", "name": "run", "input": {}}]},
    {"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": "t2", "content": [text_part("1 failed")]},
        text_part("<system-reminder>Remember the to-do list.</system-reminder>"),
    ]},
]  # fmt: skip
EDITOR = [
    {"role": "system", "content": "You are an editor's assistant."},
    {"role": "user", "content": f"<environment_details>\n{'a/b.ts' * 200}\n</environment_details>\n\n{ASK}\n\n"
                                "<file path=\"a.py\">\nimport os\n</file>"},
]  # fmt: skip
TERMINAL = [
    {"role": "user", "content": "<environment_context>\n  <cwd>/srv</cwd>\n</environment_context>"},
    {"role": "user", "content": ASK},
    {"role": "tool", "tool_call_id": "c", "content": "total 12"},
]


@pytest.mark.parametrize(
    "messages", [CODING_AGENT, EDITOR, TERMINAL], ids=["coding agent", "editor", "terminal"]
)
def test_a_harness_does_not_drown_the_question(messages):
    assert prompt_text(messages) == PromptText(ASK)


@pytest.mark.parametrize("paste", [LOG, TRACE, f"```\n{LOG}\n```", "```python\n" + "x = 1\n" * 2000 + "```"])
def test_a_long_paste_after_the_instruction_keeps_the_instruction_and_shrinks(paste):
    words = prompt_text([{"role": "user", "content": f"{ASK}\n\n{paste}"}]).text
    assert words.startswith(ASK)
    assert len(words) < len(ASK) + 800


def test_a_short_code_block_is_part_of_the_question():
    text = f"{ASK}\n```python\ndef f(x):\n    return x\n```\nThanks!"
    assert prompt_text(text) == PromptText(text)


def test_a_short_last_turn_is_read_with_what_it_answers():
    turns = [{"role": "user", "content": ASK}, {"role": "assistant", "content": "Shall I?"}]
    assert prompt_text([*turns, {"role": "user", "content": "yes, go on"}]).text == f"{ASK}\nyes, go on"
    longer = "Now something else. " * 20
    assert prompt_text([*turns, {"role": "user", "content": longer}]).text == longer.strip()


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (None, "the call has no messages"),
        (b"binary", "the call has no messages"),
        ([], "the call has no user turn"),
        (
            [{"role": "system", "content": "a"}, {"role": "assistant", "content": "b"}],
            "the call has no user turn",
        ),
        ([{"role": "user", "content": ""}], "no user turn has text to judge"),
        ([{"role": "user", "content": None}], "no user turn has text to judge"),
        ([{"role": "user", "content": "\x00\x01\x07\x7f \u200b"}], "no user turn has text to judge"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:…"}}]}],
            "no user turn has text",
        ),
        (
            [{"role": "user", "content": "<system-reminder>only this</system-reminder>"}],
            "no user turn has text",
        ),
        ("", "the prompt has no text to judge"),
        (" \n\t ", "the prompt has no text to judge"),
    ],
)
def test_what_cannot_be_judged_says_why(messages, reason):
    found = prompt_text(messages)
    assert found.text == ""
    assert found.reason.startswith(reason)


@pytest.mark.parametrize(
    "text",
    ["a " * 500_000, "x" * 1_000_000, "<env>" * 200_000, "```\n" * 250_000, "\x00" * 1_000_000, "<" * 1_000_000,
     "2026-01-01 x\n" * 80_000, "é🙂" * 500_000, "<env>\n\n" * 140_000],
    ids=range(9),
)  # fmt: skip
def test_a_megabyte_is_read_in_bounded_work(text):
    room = DEFAULT_LIMITS.prompt_chars_head + DEFAULT_LIMITS.prompt_chars_tail
    started = time.process_time()
    found = prompt_text([{"role": "user", "content": [text_part(text)]}] * 200)
    assert len(found.text) <= room + 8
    # No figure: it stops a quadratic pattern, which takes minutes.
    assert time.process_time() - started < 5


def test_noise_in_many_parts_is_looked_at_only_so_far():
    noise = {"role": "user", "content": [text_part("```\n" * 4096)] * 64}
    question = {"role": "user", "content": "what is the capital of France?"}
    assert prompt_text([noise] * 40 + [question]).text == question["content"]
    # 64 parts of 16,384 characters are more than anybody's question has after it.
    assert prompt_text([question, noise]).reason == "no user turn has text to judge"
    assert prompt_text([question, {**noise, "content": noise["content"][:4]}]).text == question["content"]


def test_of_two_hundred_turns_the_newest_count():
    turns = [{"role": "user", "content": f"question number {n}"} for n in range(200)]
    text = prompt_text(turns).text
    assert text.endswith("question number 199")
    assert "question number 3\n" not in text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]), inner)
        ),
    )
)
def test_nothing_makes_it_fail(value):
    assert isinstance(prompt_text(value).text, str)
    assert isinstance(prompt_text([{"role": "user", "content": value}]).text, str)


@settings(deadline=None)
@given(st.text())
def test_words_without_noise_stay_as_they_are_and_reading_twice_changes_nothing(text):
    once = user_words(text)
    assert user_words(once) == once
