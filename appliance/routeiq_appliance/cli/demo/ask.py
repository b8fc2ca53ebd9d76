"""The two prompts, their answers, and the verdict over everything that was seen (pure)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from routeiq_appliance.cli.demo.stack import Endpoint
from routeiq_appliance.cli.sealed.sensor import Reading

__all__ = ["PROMPTS", "Answer", "Prompt", "ask", "faults_of_answers", "faults_of_egress"]


@dataclass(frozen=True)
class Prompt:
    """What is asked, and the group that the pretrained artifact is known to choose for it."""

    text: str
    group: str


PROMPTS = (
    Prompt("What is the capital of France? Answer in one sentence.", "small"),
    Prompt(
        "Write a Python function that tells whether a string is a palindrome, with tests.",
        "large",
    ),
)
_HEADERS = ("model", "deployment", "strategy", "score", "decision-id")


@dataclass(frozen=True)
class Answer:
    """What came back: the text, the decision's headers without their prefix, and the seconds it took."""

    prompt: Prompt
    text: str
    decision: dict[str, str]
    seconds: float


def ask(endpoint: Endpoint, prompt: Prompt) -> Answer:
    """Send one prompt to `model: auto`; raises `ProcessError` when it is refused."""
    started = time.monotonic()
    headers, body = endpoint.post(
        "/v1/chat/completions",
        {
            "model": "auto",
            "messages": [{"role": "user", "content": prompt.text}],
            "max_tokens": 160,
            "temperature": 0,
        },
    )
    decision = {name: headers.get(f"x-routeiq-{name}", "") for name in _HEADERS}
    choice = body["choices"][0]
    text = str(choice["message"]["content"] or "").strip()
    if choice["finish_reason"] == "length":
        text += " […]"
    return Answer(prompt, text, decision, time.monotonic() - started)


def faults_of_answers(answers: Sequence[Answer]) -> list[str]:
    """Return what is wrong with the answers, empty when nothing is."""
    faults = []
    for answer in answers:
        about = f"{answer.prompt.text!r}"
        if not answer.text:
            faults.append(f"{about}: the answer is empty")
        if not answer.decision["strategy"].startswith("ml-"):
            faults.append(f"{about}: routed by {answer.decision['strategy']!r}, not by the signed artifact")
        if answer.decision["model"] != answer.prompt.group:
            faults.append(f"{about}: routed to {answer.decision['model']!r}, not {answer.prompt.group!r}")
    return faults


def faults_of_egress(ready: Reading, end: Reading, refused: int) -> list[str]:
    """Return what is wrong with the counters: when the gateway was ready, at the end, and its own refused dials."""
    faults = []
    if end.left:
        faults.append(f"{end.left} packets left the namespace: {', '.join(end.seen)}")
    if not ready.canaries:
        faults.append("the gateway's canaries were not seen at its start")
    if end.canaries != ready.canaries:
        faults.append(f"{end.canaries - ready.canaries} packets went to the canaries after the start")
    if refused:
        faults.append(f"the gateway refused {refused} dials of its own")
    return faults
