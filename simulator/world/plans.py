"""What subscriptions cost: prices that recur, and what is taken off."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """A recurring price of a product, per month unless it says otherwise.

    `metered`: charged by use. `tiers`: (up to, or None for the rest; what one costs) of a price by volume.
    """

    price: str
    product: str
    name: str
    unit_amount: int
    interval: str = "month"
    interval_count: int = 1
    metered: bool = False
    tiers: tuple[tuple[int | None, int], ...] = ()

    @property
    def days(self) -> int:
        """About how long its interval is."""
        return {"day": 1, "week": 7, "month": 30, "year": 365}[self.interval] * self.interval_count


@dataclass(frozen=True)
class Coupon:
    """A part of the price, or an amount of each invoice; `duration` is once, repeating (three months) or forever."""

    id: str
    created: int
    duration: str
    currency: str
    percent_off: float | None = None
    amount_off: int | None = None


@dataclass(frozen=True)
class Discount:
    """A coupon that was given to a subscription."""

    id: str
    start: int
    coupon: Coupon
