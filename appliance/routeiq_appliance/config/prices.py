"""What a deployment's calls cost, from LiteLLM's names for prices. Pure; exact."""

from decimal import Decimal

from routeiq_appliance.config.model_list import PRICES, Prices
from routeiq_appliance.money import pico
from routeiq_appliance.pipeline.types import Price

__all__ = ["given_prices", "one_sided", "price_of"]


def given_prices(*places: Prices) -> dict[str, Decimal]:
    """Return the prices that count, by name; an earlier place wins, and of the three per second the first."""
    found: dict[str, Decimal] = {}
    for name in PRICES:
        for place in places:
            amount: Decimal | None = getattr(place, name)
            if amount is not None:
                found[name] = amount
                break
    # As LiteLLM: they are three names for one price.
    seconds = [name for name in PRICES if name.endswith("_per_second") and name in found]
    for name in seconds[1:]:
        del found[name]
    return found


def price_of(*places: Prices) -> Price | None:
    """Return the price of `litellm_params` and `model_info`; None when neither gives any: unpriced, not free."""
    found = given_prices(*places)
    if not found:
        return None
    second = next((amount for name, amount in found.items() if name.endswith("_per_second")), Decimal(0))
    return Price(
        input_token=pico(found.get("input_cost_per_token", Decimal(0))),
        output_token=pico(found.get("output_cost_per_token", Decimal(0))),
        second=pico(second),
        call=pico(found.get("input_cost_per_query", Decimal(0))),
    )


def one_sided(*places: Prices) -> str | None:
    """Return the price that is missing beside its other half, where only tokens are priced."""
    found = given_prices(*places)
    halves = {"input_cost_per_token", "output_cost_per_token"}
    return (halves - found.keys()).pop() if len(found) == 1 and halves & found.keys() else None
