"""What pages show of what the console has done and asks others."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Connection:
    """How an account is connected. `enabled`: the types that the endpoint in Stripe has; None when nobody could ask.

    `why`: what kept us from asking; `livemode`: of the key, None without one.
    """

    account: str
    url: str
    timezone: str
    secrets: int
    has_key: bool
    livemode: bool | None = None
    stripes_timezone: str = ""
    endpoint: str = ""
    enabled: frozenset[str] | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Signing:
    """A signing secret that the door accepts, masked; `until`: it was replaced, and ends then.

    `origin` is connect (of an endpoint that was made for one), hand, or settings. `id` is what removes it, '' for those
    of the settings.
    """

    id: str
    masked: str
    origin: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a connection. `key`: where the API key in force is from, stored or settings; '' for none.

    `stored`: whether there is anything to disconnect.
    """

    key: str
    url: str
    secrets: tuple[Signing, ...]
    stored: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """Ours and Stripe's of one metric and currency on a day; amounts in major units."""

    metric: str
    currency: str
    ours: int
    ours_amount: Decimal
    stripes: int
    stripes_amount: Decimal

    @property
    def equal(self) -> bool:
        """Whether count and sum are the same."""
        return (self.ours, self.ours_amount) == (self.stripes, self.stripes_amount)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A day of an account, ours against Stripe's. `differences`: id → what is different about it."""

    account: str
    day: date
    livemode: bool
    equal: bool
    rows: tuple[Compared, ...]
    differences: Mapping[str, str]
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a running Tillstream; `counts` are its counters since it started."""

    name: str
    ready: bool
    reason: str = ""
    restarts: int = 0
    counts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mover:
    """A customer of Stripe's whose rows a merge moves."""

    customer_id: str
    livemode: bool
    rows: int


@dataclass(frozen=True, slots=True)
class Merging:
    """`moving`: whom a merge of this profile would move; `guests`: rows that stay, since they have no customer.

    `came`: whom an earlier merge has moved here, and who can be sent back.
    """

    moving: tuple[Mover, ...]
    guests: int
    came: tuple[Mover, ...]
