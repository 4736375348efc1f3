"""A seeded month (or year) in the life of Stripe accounts: what happens, what Stripe would tell, and what is true.

Pure: no clock, no network, no file. The same arguments give the same world, byte for byte.
"""

import heapq
from collections.abc import Sequence
from datetime import datetime
from itertools import count

from simulator.world import catalog
from simulator.world.books import Books
from simulator.world.lives import STORIES as LIVES
from simulator.world.objects import Customer, Event
from simulator.world.people import Wheel, as_payer, new_customer, new_guest
from simulator.world.pricing import STORIES as PRICING
from simulator.world.purchases import CHARGES, INVOICES, PAYERS, handwritten_invoice, purchase
from simulator.world.rare import STORIES, rarely
from simulator.world.subscriptions import DAY, HOUR, MONTH, Shop, Story, new_subscription, renewals, subscribe
from simulator.world.truth import Truth


class World:
    """Simulated accounts from `start` (aware datetime or Unix seconds) for `days`, with `customers` over all accounts.

    About 10 events a customer and month. All of the 18 event types that Tillstream asks Stripe for occur from about
    40 customers an account and 30 days on. `extended` adds the events that `connect --extended` asks for. An account
    named `acct_…` is a connected one: its events name it. `until`: lived only up to this Unix second at first. `rare`
    adds the stories of `simulator.world.rare` and `simulator.world.lives`, one of each a customer; `pricing` does those
    of `simulator.world.pricing`.
    """

    def __init__(
        self,
        seed: int,
        start: datetime | int,
        days: int,
        customers: int,
        accounts: Sequence[str] = ("default",),
        livemode: bool = True,
        currencies: Sequence[str] = catalog.CURRENCIES,
        extended: bool = False,
        until: int | None = None,
        rare: bool = False,
        pricing: bool = False,
    ) -> None:
        self.start = int(start.timestamp()) if isinstance(start, datetime) else start
        self.end = self.start + days * DAY
        self.accounts = {name: Books(name, seed=seed, livemode=livemode, extended=extended) for name in accounts}
        self._currencies = tuple(currencies)
        self._agenda: list[tuple[int, int, Story]] = []
        self._order = count()
        for index, books in enumerate(self.accounts.values()):
            self._populate(books, len(range(index, customers, len(self.accounts))), rare=rare, pricing=pricing)
        self._events: list[Event] = []
        self.lived_to = self.start
        self.advance(self.end if until is None else until)

    def advance(self, to: int) -> None:
        """Let the stories go on up to the Unix second `to`, each at its time; none goes on once the world has ended.

        What one step of a story does may reach some seconds beyond `to`. The way there makes no difference.
        """
        self.lived_to = max(self.lived_to, to)
        while self._agenda and self._agenda[0][0] < self.end and self._agenda[0][0] <= to:
            now, _, story = heapq.heappop(self._agenda)
            self._pay_out(now - 1)
            if (at := next(story, None)) is not None:
                self._plan(at, story)
        self._pay_out(to)

    def _pay_out(self, until: int) -> None:
        for books in self.accounts.values():
            books.balance.pay_out(until, self.start, self.end)

    @property
    def events(self) -> list[Event]:
        """All that was told so far, in order of time (stable: in a second, in true order)."""
        if len(self._events) != sum(len(books.events) for books in self.accounts.values()):
            every = [event for books in self.accounts.values() for event in books.events]
            self._events = sorted(every, key=lambda event: event.created)
        return self._events

    def truth(self, *, lookups: bool = False, listed: bool = False) -> Truth:
        """What correct rows must say once all events are delivered; `delivery.plan.told_by` for what some shapes can't.

        `lookups`: emails as they are when the customer objects are known too, by import or API key. `listed`: with
        what only Stripe's lists show, as an import reads them, because no event of this world tells of it.
        """
        facts = [f for books in self.accounts.values() for f in books.facts(lookups=lookups, listed=listed)]
        return Truth(sorted(facts, key=lambda f: (f.occurred_at, f.account, f.metric, f.charge_id, f.invoice_id)))

    def _populate(self, books: Books, customers: int, *, rare: bool, pricing: bool) -> None:
        shop = Shop(books)
        people = [self._arrive(books, number) for number in range(customers)]
        for number, customer in enumerate(people):
            self._give_subscription(shop, customer, number)
        if not people:
            return
        months = max(1.0, (self.end - self.start) / MONTH)
        charges, invoices = Wheel(books.rng, CHARGES), Wheel(books.rng, INVOICES)
        payers = Wheel(books.rng, PAYERS)
        for _ in range(round(customers * 0.8 * months)):
            at = self._moment(books, early=charges.on_first_round)
            kind = payers.next()
            customer = books.rng.choice(people)
            payer = as_payer(books, customer, on_site=True) if kind == "customer" else new_guest(books, at, kind)
            currency = customer.currency if kind == "customer" else self._currency(books, books.rng.randrange(100))
            if kind == "customer":
                at = max(at, customer.created + 60)
            self._plan(at, purchase(shop, payer, currency, at, charges.next()))
        for _ in range(round(customers * 0.35 * months)):
            customer = books.rng.choice(people)
            at = max(self._moment(books, early=invoices.on_first_round), customer.created + 60)
            self._plan(at, handwritten_invoice(shop, customer, at, invoices.next()))
        for number, customer in enumerate(people if rare else ()):
            at = max(self._moment(books, share=0.6), customer.created + HOUR + 60)
            self._plan(at, rarely(STORIES[number % len(STORIES)](shop, customer, at), at))
            self._plan(at, rarely(LIVES[number % len(LIVES)](shop, customer, at), at))
        for number, customer in enumerate(people if pricing else ()):
            at = max(self._moment(books, share=0.3), customer.created + HOUR + 60)
            self._plan(at, rarely(PRICING[number % len(PRICING)](shop, customer, at), at))

    def _arrive(self, books: Books, number: int) -> Customer:
        """Three of four customers are older than the world; the others come in its first half."""
        rng = books.rng
        old = number % 4 != 3
        at = self.start - rng.randint(DAY, 400 * DAY) if old else self._moment(books, share=0.5)
        return new_customer(books, at, number, self._currency(books, number), before_world=old)

    def _currency(self, books: Books, number: int) -> str:
        """Each of the world's currencies at least once, then mostly the first three."""
        if number < len(self._currencies):
            return self._currencies[number]
        return self._currencies[min(int(books.rng.expovariate(0.8)), len(self._currencies) - 1)]

    def _give_subscription(self, shop: Shop, customer: Customer, number: int) -> None:
        rng = shop.books.rng
        if customer.created >= self.start:
            at = customer.created + 40
            self._plan(at, subscribe(shop, customer, at, trial=number % 8 == 7))
            return
        if rng.random() < 0.12:
            return  # buys now and then, without a subscription
        for _ in range(2 if rng.random() < 0.05 else 1):
            renews = self.start + rng.randint(3 * DAY, MONTH + 3 * DAY)
            subscription = new_subscription(shop, customer, customer.created, renews - MONTH)
            self._plan(renews - 3 * DAY, renewals(shop, customer, subscription))

    def _moment(self, books: Books, *, share: float = 1.0, early: bool = False) -> int:
        """Some second of the world; `early` for stories that need days to unfold."""
        span = int((self.end - self.start) * (0.2 if early else share))
        return self.start + books.rng.randrange(max(1, span))

    def _plan(self, at: int, story: Story) -> None:
        heapq.heappush(self._agenda, (at, next(self._order), story))
