"""What the simulated shop sells, to whom, and how payments fail: plain constants."""

from schemas.money import exponent

FIRST_NAMES = "Anna Björn Chloé Dmitri Elif Fatima Grace Hiroshi Inês João Kwame Léa Mateo Nia Olu Søren Yuki".split()
LAST_NAMES = "Adeyemi Berg Castillo Dubois Evans Fujita García Hansen Ivanova Jónsson Kaya Müller Okafor".split()
DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com")
CITIES = (
    ("Berlin", "DE", "10115"),
    ("London", "GB", "E1 6AN"),
    ("Boston", "US", "02108"),
    ("東京", "JP", "100-0001"),
    ("Kuwait City", "KW", "15000"),
    ("Reykjavík", "IS", "101"),
    ("Kampala", "UG", "00256"),
    ("Nantes", "FR", "44000"),
)
OPENED = 1_600_000_000  # the Unix second from which on the shop has its plans
PRODUCTS = ("Harbour Basic", "Harbour Team", "Seats", "Storage 100 GB", "Priority support", "Audit log")
GOODS = ("Workshop ticket", "Handbook", "Set-up fee", "Poster", "Consulting hour")
BRANDS = (("visa", "4242"), ("mastercard", "4444"), ("amex", "0005"), ("visa", "1881"), ("discover", "1117"))
ASYNC_METHODS = ("sepa_debit", "us_bank_account", "bacs_debit")

# Most trade is in the first ones; every currency of the list is met.
CURRENCIES = ("usd", "eur", "gbp", "jpy", "kwd", "isk", "ugx")

# code, the bank's decline code, Stripe's sentence
DECLINES = (
    ("card_declined", "generic_decline", "Your card was declined."),
    ("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    ("expired_card", "expired_card", "Your card has expired."),
    ("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."),
    ("card_declined", "transaction_not_allowed", "Your card does not support this type of purchase."),
    (
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again.",
    ),
)
EXPIRED = DECLINES[2]
#: No charge is made by it: the payment intent alone tells.
AUTHENTICATION = (
    "payment_intent_authentication_failure",
    None,
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod "
    "to attempt to fulfill this PaymentIntent again.",
)
ASYNC_FAILURE = ("payment_method_customer_decline", None, "The customer's bank account could not be debited.")

# About how many units of a currency buy what one dollar buys.
WORTH = {"jpy": 150, "isk": 135, "ugx": 3700, "huf": 360, "inr": 85, "kwd": 1 / 3, "bhd": 1 / 3}


def minor(dollars: int, currency: str) -> int:
    """A believable price in minor units, a multiple of 100: (19, 'usd') is 1900, (19, 'jpy') is 2800.

    Multiples of 100 suit every currency: Stripe wants three-decimal amounts in tens, and ISK and UGX without cents.
    """
    units = dollars * WORTH.get(currency, 1) * 10 ** exponent(currency)
    return max(100, int(units) // 100 * 100)


def smallest_step(currency: str) -> int:
    """The smallest amount in minor units that can be told apart in this currency on Stripe."""
    if currency in ("isk", "ugx"):
        return 100
    return 10 if exponent(currency) == 3 else 1
