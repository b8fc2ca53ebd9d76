"""The shipped suite: its size, its spread, and every answer once more by another way than the generator's."""

import ast
import contextlib
import io
import json
import re
from collections import Counter
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

from routeiq_router.calibration.checks import answer_fault, is_right
from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.item import DIFFICULTIES, suite_digest
from routeiq_router.calibration.suite.facts import FACTS
from routeiq_router.calibration.suite.numerals import in_words, roman
from routeiq_router.calibration.suite.shipped import shipped_suite, skills

SUITE = shipped_suite()
ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def of_skill(skill: str):
    found = [item for item in SUITE if item.skill == skill]
    assert found
    return found


def said(item) -> str:
    """Return the answer as a model would say it."""
    if item.check == "json":
        return json.dumps(item.answer)
    if item.check == "list":
        return ", ".join(item.answer)
    return str(item.answer[0] if isinstance(item.answer, list) else item.answer)


def test_there_are_enough_prompts_skills_and_difficulties():
    # D3
    assert len(SUITE) >= 400
    assert len(skills()) >= 10
    assert {item.difficulty for item in SUITE} == set(DIFFICULTIES)
    assert len({item.id for item in SUITE}) == len({item.prompt for item in SUITE}) == len(SUITE)


def test_the_suite_is_the_same_everywhere():
    # A journal of answers is continued under another Python only if this holds. Change it with the suite's name.
    assert suite_digest(SUITE) == "sha256:2fb5df7edcbb26b08810f992aa1db046cc26c5801ebc2c64216f4dafeb69da55"
    assert suite_digest(shipped_suite(1)) != suite_digest(SUITE)


def test_the_first_prompts_are_a_fair_sample():
    first = SUITE[:48]
    assert set(Counter(item.skill for item in first).values()) == {3}
    assert set(Counter(item.difficulty for item in first).values()) == {16}


def test_every_answer_is_accepted_and_another_prompts_is_not():
    for item in SUITE:
        assert answer_fault(item.check, item.answer) is None
        assert is_right(item.check, item.answer, said(item)), item
        others = [other for other in of_skill(item.skill) if other.check == item.check]
        other = next((other for other in others if other.answer != item.answer), None)
        assert other is None or not is_right(item.check, item.answer, said(other)), (item, other)


def test_arithmetic_by_evaluation():
    for item in of_skill("arithmetic"):
        expression = re.search(r"What is (.*)\?", item.prompt)[1]
        assert eval(compile(ast.parse(expression, mode="eval"), "", "eval")) == item.answer


def test_units_by_their_ratios():
    size = {"centimetres": ("m", Fraction(1, 100)), "metres": ("m", 1), "kilometres": ("m", 1000), "grams": ("g", 1),
            "kilograms": ("g", 1000), "seconds": ("s", 1), "minutes": ("s", 60), "hours": ("s", 3600),
            "days": ("s", 86400), "weeks": ("s", 604800), "square centimetres": ("m2", Fraction(1, 10**4)),
            "square metres": ("m2", 1), "hectares": ("m2", 10**4), "square kilometres": ("m2", 10**6),
            "litres": ("m3", Fraction(1, 1000)), "cubic metres": ("m3", 1)}  # fmt: skip
    for item in of_skill("unit conversion"):
        found = re.search(r"How many ([a-z ]+) are (\d+) ([a-z ]+)\?", item.prompt)
        if found:
            (kind, to), (other, of) = size[found[1]], size[found[3]]
            assert kind == other
            assert Fraction(int(found[2])) * of / to == item.answer
        else:
            speed, seconds = map(int, re.search(r"at (\d+) .* in (\d+) seconds", item.prompt).groups())
            assert Fraction(speed * 1000, 3600) * seconds == item.answer


def test_dates_day_by_day():
    names = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    for item in of_skill("date arithmetic"):
        days = re.findall(r"\d{4}-\d\d-\d\d", item.prompt)
        if item.difficulty == 1:
            day, ahead = re.search(r"Today is (\w+)\..* in (\d+) days", item.prompt).groups()
            for _ in range(int(ahead)):
                day = names[(names.index(day) + 1) % 7]
            assert day == item.answer
        elif item.difficulty == 2:
            ahead = int(re.search(r"is (\d+) days after", item.prompt)[1])
            assert (
                date.fromisoformat(item.answer).toordinal() - date.fromisoformat(days[0]).toordinal() == ahead
            )
        else:
            at, count = date.fromisoformat(days[0]), 0
            while at < date.fromisoformat(days[1]):
                at, count = at + timedelta(days=1), count + 1
            assert count == item.answer


def test_code_by_running_it():
    for item in of_skill("code output"):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(item.prompt.split("\n\n", 1)[1], {})
        assert out.getvalue().strip() == str(item.answer)


def test_sequences_by_their_steps():
    for item in of_skill("sequences"):
        values = [int(number) for number in re.findall(r"\d+", item.prompt)]
        steps = [b - a for a, b in pairwise(values)]
        if item.difficulty == 1:
            assert len(set(steps)) == 1
            assert item.answer - values[-1] == steps[0]
        elif item.difficulty == 2:
            assert len({b - a for a, b in pairwise(steps)}) == 1
            assert item.answer - values[-1] - steps[-1] == steps[1] - steps[0]
        else:
            assert item.answer * values[1] == values[2] * values[5]


def test_counts_and_orders_from_the_prompt():
    for item in of_skill("counting"):
        if item.difficulty == 1:
            assert item.prompt.split("? ")[1].count(",") + 1 == item.answer
        elif item.difficulty == 2:
            letter, words = re.search(r"'(\w)' occur in '([\w ]+)'", item.prompt).groups()
            assert len(words.split(letter)) - 1 == item.answer
        else:
            least = int(re.search(r"greater than (\d+)", item.prompt)[1])
            numbers = [int(one) for one in item.prompt.split("? ")[1].split(". ")[0].split(", ")]
            assert len([one for one in numbers if one % 2 and one > least]) == item.answer
    for item in of_skill("sorting"):
        given = item.prompt.split(": ")[1].split(". ")[0].split(", ")
        assert sorted(given) == sorted(item.answer)
        for one, two in zip(item.answer, item.answer[1:], strict=False):
            if item.difficulty == 1:
                assert int(one) < int(two)
            elif item.difficulty == 2:
                assert one < two
            else:
                assert (len(one), [-ord(c) for c in one]) < (len(two), [-ord(c) for c in two])


def test_strings_letter_by_letter():
    for item in of_skill("string manipulation"):
        if item.difficulty == 1:
            given = item.prompt.split(": ")[1].split(". ")[0].split(", ")
            assert (
                re.sub(r"(\w)\w*", r"\1", "".join(f"{word} " for word in given)).replace(" ", "")
                == item.answer
            )
        elif item.difficulty == 2:
            assert "".join(reversed(item.answer)) == re.search(r"'(\w+)'", item.prompt)[1]
        else:
            one, two = re.findall(r"'(\w+)'", item.prompt)
            assert "".join(letter for at, letter in enumerate(one + two) if at % 2 == 0) == item.answer


def test_tables_from_their_cells():
    for item in of_skill("table look-up"):
        rows = [
            [cell.strip() for cell in line.split("|")[1:-1]]
            for line in item.prompt.splitlines()
            if "|" in line
        ]
        head, body = rows[0], {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}
        month = next(name for name in head[1:] if re.search(rf"\b{name}\b", item.prompt.splitlines()[-1]))
        if item.difficulty == 1:
            who = re.search(r"did (\w+) sell", item.prompt)[1]
            assert int(body[who][month]) == item.answer
        elif item.difficulty == 2:
            assert all(int(body[item.answer[0]][month]) >= int(row[month]) for row in body.values())
        else:
            who = re.search(r"sum of (\w+)'s", item.prompt)[1]
            row = sum(int(body[who][name]) for name in head[1:])
            assert sum(int(one[month]) for one in body.values()) - row == item.answer


def test_chains_of_logic_by_search():
    for item in of_skill("logic"):
        if item.difficulty == 1:
            follows = dict(re.findall(r"All (\w+) are (\w+)\.", item.prompt))
            at, want = re.search(r"that all (\w+) are (\w+)\?", item.prompt).groups()
            while at in follows and at != want:
                at = follows[at]
            assert item.answer == ("yes" if at == want else "no")
        elif item.difficulty == 2:
            below = dict(re.findall(r"(\w+) is taller than (\w+)\.", item.prompt))
            at, order = next(iter(below.keys() - set(below.values()))), []
            while at:
                order, at = [*order, at], below.get(at)
            ranks = ["the tallest", "second tallest", "third tallest", "fourth tallest", "shortest"]
            place = next(place for place, rank in enumerate(ranks) if f"Who is {rank}" in item.prompt or
                         f"Who is the {rank}" in item.prompt)  # fmt: skip
            assert order[place] == item.answer
        else:
            head = item.prompt.split("always lies. ", 1)[1]
            honest = {re.match(r"(\w+) always", head)[1]: "always tells" in head.split(".")[0]}
            for who, whom, what in re.findall(r"(\w+) says: '(\w+) always (tells|lies)", item.prompt):
                honest[who] = honest[whom] == (what == "tells")
            assert item.answer == ("yes" if honest[re.search(r"Does (\w+) tell", item.prompt)[1]] else "no")


def test_numerals_read_back():
    for number in (*range(1, 1200), 1999, 2024, 3999):
        values = [ROMAN[letter] for letter in roman(number)]
        back = sum(-v if any(v < w for w in values[at + 1 : at + 2]) else v for at, v in enumerate(values))
        assert back == number
    small = {in_words(number): number for number in range(100)}
    assert len(small) == 100
    assert in_words(40_506_017) == "forty million five hundred and six thousand seventeen"
    for item in of_skill("numerals"):
        if "binary" in item.prompt:
            assert int(item.answer, 2) == int(re.search(r"number (\d+)", item.prompt)[1])


def test_word_problems_from_their_numbers():
    for item in of_skill("word problems"):
        given = [int(number) for number in re.findall(r"\d+", item.prompt)]
        if item.difficulty == 1:
            assert given[0] - given[1] == item.answer
        elif item.difficulty == 2:
            a, b, c, d, paid, off = given
            assert paid - (a * b + c * d - off) == item.answer
        else:
            tank, one, two, leak = given
            assert Fraction(tank, one) + Fraction(tank, two) - leak == item.answer


def test_stories_and_extraction_are_in_the_text():
    for item in (*of_skill("reading comprehension"), *of_skill("json extraction")):
        words = re.findall(r"\w+", json.dumps(item.answer))
        assert all(word in item.prompt for word in words)


def test_instructions_followed_by_another_reader():
    for item in of_skill("instruction following"):
        if item.difficulty == 1:
            word = re.search(r"'(\w+)'", item.prompt)[1]
            assert item.answer == f"{word}-{word}-{word}"
            continue
        given = re.search(r"the list ([\w, ]+):", item.prompt)[1].split(", ")
        if item.difficulty == 2:
            numbers = re.findall(r"number (\d)", item.prompt)
            assert item.answer == "/".join(given[int(number) - 1] for number in numbers)
        else:
            letter = re.search(r"letter '(\w)'", item.prompt)[1]
            kept = list(reversed([word for word in given if not word.count(letter)]))
            assert item.answer == (kept or ["none"])


def test_facts_have_one_right_option_each():
    for _, _, pairs in FACTS:
        answers = [answer for _, answer in pairs]
        assert len(set(answers)) == len(answers) >= 4
    for item in of_skill("common facts"):
        question, *options, _ = item.prompt.splitlines()
        right = dict(option.split(") ", 1) for option in options)[item.answer]
        about = {text.format(a): b for _, text, pairs in FACTS for a, b in pairs}
        assert about[question] == right


def test_draws_are_spread_and_repeatable():
    draw = Draw("spread")
    counts = Counter(draw.below(10) for _ in range(2000))
    assert len(counts) == 10
    assert max(counts.values()) < 280
    assert [Draw("a").between(3, 9) for _ in range(3)] == [Draw("a").between(3, 9)] * 3
    assert sorted(Draw("b").some(range(5), 5)) == [0, 1, 2, 3, 4]
