"""Money as whole pico-dollars (10^-12 dollars): sums are exact in Python, SQL and Redis alike.

The smallest prices in use are a few tens of nano-dollars per token, so a pico-dollar loses nothing of them.
"""

from decimal import ROUND_HALF_EVEN, Decimal

__all__ = ["PICO", "dollars", "pico"]

PICO = 10**12


def pico(amount: Decimal) -> int:
    """Return an amount of dollars in pico-dollars, rounded half to even beyond twelve decimals."""
    return int((amount * PICO).to_integral_value(ROUND_HALF_EVEN))


def dollars(amount: int) -> Decimal:
    """Return pico-dollars as dollars, exactly."""
    return Decimal(amount).scaleb(-12)
