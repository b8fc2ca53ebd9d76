"""Numbers in words, in Roman and in binary notation."""

from routeiq_router.calibration.draw import Draw
from routeiq_router.calibration.suite.interface import Made

__all__ = ["SKILL", "in_words", "make", "roman"]

SKILL = "numerals"
_SMALL = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ROMAN = (
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
)


def make(draw: Draw, difficulty: int) -> Made:
    """Words to digits; to and from Roman numerals; binary, or long numbers in words."""
    if difficulty == 1:
        number = draw.between(21, 9999)
        return Made(f"Write in digits: {in_words(number)}. Answer with the number only.", number, "number")
    if difficulty == 2:
        number = draw.between(40, 2500)
        if draw.below(2):
            return Made(
                f"Write {number} in Roman numerals. Answer with the numeral only.", roman(number), "exact"
            )
        return Made(f"Which number is {roman(number)}? Answer with the number only.", number, "number")
    if draw.below(2):
        number = draw.between(40, 500)
        return Made(
            f"Write the decimal number {number} in binary. Answer with the digits only.",
            f"{number:b}",
            "exact",
        )
    number = draw.between(1_000_100, 900_000_000)
    return Made(f"Write in digits: {in_words(number)}. Answer with the number only.", number, "number")


def in_words(number: int) -> str:
    """Return a number from 0 to 999,999,999 in English words."""
    if number < 20:
        return _SMALL[number]
    if number < 100:
        return _TENS[number // 10] + (f"-{_SMALL[number % 10]}" if number % 10 else "")
    for size, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = number % size
            joint = " and " if size == 100 else " "
            return f"{in_words(number // size)} {name}" + (f"{joint}{in_words(rest)}" if rest else "")
    raise ValueError(number)


def roman(number: int) -> str:
    """Return a number from 1 to 3999 in Roman numerals."""
    text = ""
    for value, letters in _ROMAN:
        text += letters * (number // value)
        number %= value
    return text
