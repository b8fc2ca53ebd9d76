"""When the demo calls something a fault."""

from dataclasses import replace

from routeiq_appliance.cli.demo.ask import PROMPTS, Answer, faults_of_answers, faults_of_egress
from routeiq_appliance.cli.sealed.sensor import Count, Reading

QUIET = Reading(Count(3, 0, ()), Count(3, 0, ()))
GOOD = [
    Answer(prompt, "an answer", {"model": prompt.group, "strategy": "ml-ensemble"}, 1.0) for prompt in PROMPTS
]


def test_two_routed_answers_and_silence_are_no_fault() -> None:
    assert faults_of_answers(GOOD) == []
    assert faults_of_egress(QUIET, QUIET, 0) == []


def test_an_empty_answer_is_a_fault() -> None:
    assert faults_of_answers([replace(GOOD[0], text="")]) == [f"{PROMPTS[0].text!r}: the answer is empty"]


def test_routing_by_anything_but_the_artifact_or_to_another_group_is_a_fault() -> None:
    faults = faults_of_answers([replace(GOOD[1], decision={"model": "small", "strategy": "declared-order"})])
    assert faults == [
        f"{PROMPTS[1].text!r}: routed by 'declared-order', not by the signed artifact",
        f"{PROMPTS[1].text!r}: routed to 'small', not 'large'",
    ]


def test_a_packet_seen_at_either_end_is_a_fault() -> None:
    seen = Count(3, 2, ("203.0.113.9 udp 53",))
    for end in (Reading(seen, QUIET.outside), Reading(QUIET.inside, seen)):
        assert faults_of_egress(QUIET, end, 0) == ["2 packets left the namespace: 203.0.113.9 udp 53"]


def test_canaries_must_be_tried_at_the_start_and_never_again() -> None:
    none = Reading(Count(0, 0, ()), Count(0, 0, ()))
    assert faults_of_egress(none, none, 0) == ["the gateway's canaries were not seen at its start"]
    later = Reading(Count(4, 0, ()), Count(4, 0, ()))
    assert faults_of_egress(QUIET, later, 0) == ["1 packets went to the canaries after the start"]


def test_a_dial_that_the_gateway_itself_refused_is_a_fault() -> None:
    assert faults_of_egress(QUIET, QUIET, 2) == ["the gateway refused 2 dials of its own"]
