"""What erasing does to values: an address in any text, a Stripe object, a row. Pure.

An address is found in text however JSON, a URL or capitals spell it. In its place stands a mark, "(erased 1767607200)",
which is no email and says until when facts are nobody's (Unix seconds): so any order of facts comes to the same.
"""

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote

from schemas.emails import normal

#: Why a row of an erased person has no email.
REASON: Final = "erased"

Until = Callable[[str], int]  # until which Unix second facts of this email are nobody's, 0 when they are somebody's

# What can't be in an address, or only in one that nobody has; `%40` is how URLs write the sign.
_ADDRESS: Final = re.compile(r"""[^\s"\\<>()\[\],;:|=&?/]+(?:@|%40)[^\s"\\<>()\[\],;:|=&?/]+""", re.IGNORECASE)
_EDGES: Final = "'`.!*_-{}"
_RAW: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_MARK: Final = re.compile(r"\(erased (\d+)\)")

#: Names of text that tells nothing of a person: Stripe's ids, kinds, states and codes.
_PLAIN: Final = frozenset(
    "id object type status currency customer charge invoice payment_intent subscription payment_method product price "
    "plan balance_transaction refund source api_version failure_code code reason billing_reason collection_method "
    "billing interval latest_charge latest_invoice subscription_item invoice_item credit_note dispute setup_intent "
    "source_transfer transfer payout account context discount discounts coupon feedback tax_rate tax_behavior "
    "decline_code network_decline_code advice_code risk_level presentment_currency".split()
)
#: Properties of a row that tell of the money and not of the person.
_PROPERTIES: Final = frozenset(
    "Amount Currency AttemptCount ReasonCode PaymentIntent Disputed DisputeStatus Refund RefundReason RefundedInAll "
    "Invoice LinkInferred Subtotal Discount DiscountIncluded CreditGrants Shipping Tax TaxIncluded NotToldByStripe "
    "Subscription BillingReason status overdue requires_action Total "
    "AmountPaid CollectionMethod DueDate NextPaymentAttempt PeriodStart PeriodEnd PaidOutOfBand DecimalsAssumed "
    "PaymentMethodType RiskLevel DeclineCode NetworkDeclineCode AdviceCode DeclineClass PresentmentAmount "
    "PresentmentCurrency "
    "TotalExcludingTax Taxes EffectiveAt SucceededAt CapturedAt "
    "CreditNote CreditNoteType VoidedAt PrePaymentAmount PostPaymentAmount RefundAmount CustomerBalanceAmount "
    "OutOfBandAmount Dispute Inquiry Outcome OutcomeAt EvidenceDueBy FundsWithdrawnAt FundsReinstatedAt "
    "Product Price Plan Quantity Interval IntervalCount AmountExcludes Coupon PercentOff AmountOff StartDate "
    "TrialStart TrialEnd CancelAtPeriodEnd CancellationReason CancellationFeedback CanceledAt CancelAt EndedAt Resumed "
    "PreviousAmount PreviousPrice PreviousQuantity".split()
)


def mark(until: int) -> str:
    """What stands for an email whose facts up to `until` are nobody's."""
    return f"(erased {until})"


def marked(email: str) -> int:
    """The `until` of a mark; 0 for an email."""
    found = _MARK.fullmatch(email)
    return int(found[1]) if found else 0


def mask_text(text: str, until: Until) -> str:
    """`text` with a mark for every erased address in it; the same object when there is none."""
    if "@" not in text and "%40" not in text:
        return text
    if end := until(normal(text)):
        return mark(end)
    masked = _ADDRESS.sub(lambda found: _masked(found.group(), until), text)
    return text if masked == text else masked


def _masked(token: str, until: Until) -> str:
    plain = unquote(token) if "%" in token else token
    for candidate in (plain, plain.strip(_EDGES)):
        if end := until(normal(candidate)):
            return mark(end)
    return token


def mask(value: Any, until: Until) -> Any:
    """A JSON tree with a mark for every erased address, in keys too; the same object when there is none."""
    if isinstance(value, str):
        return mask_text(value, until)
    if isinstance(value, dict):
        items = [(mask_text(key, until), mask(item, until), key, item) for key, item in value.items()]
        if all(new is item and name is key for name, new, key, item in items):
            return value
        return {name: new for name, new, _, _ in items}
    if isinstance(value, list | tuple):
        parts = [mask(item, until) for item in value]
        return value if all(new is item for new, item in zip(parts, value, strict=True)) else parts
    return value


def names(raw: bytes, until: Until) -> bool:
    """May this JSON text name an erased address? Quick; a yes has to be looked at, a no is sure."""
    if b"@" not in raw and b"0040" not in raw and b"%40" not in raw:
        return False
    for found in _RAW.finditer(raw):
        word = found.group()
        if b"@" not in word and b"0040" not in word and b"%40" not in word:
            continue
        text = word[1:-1].decode("utf-8", "replace")
        if "\\" in text or mask_text(text, until) != text:  # what is escaped only a parser can read
            return True
    return False


def owners(body: Any) -> list[str]:
    """The emails by which a Stripe object says whose it is."""
    if not isinstance(body, dict):
        return []
    billing = body.get("billing_details")
    found = [body.get("email"), body.get("receipt_email"), body.get("customer_email")]
    found.append(billing.get("email") if isinstance(billing, dict) else None)
    return [normal(one) for one in found if isinstance(one, str)]


def redact(value: Any, until: int, name: str = "") -> Any:
    """A Stripe object, or an event's body, without the person: numbers, times, states and Stripe's ids are left."""
    if isinstance(value, dict):
        if name == "metadata":
            return {}
        # The email before a change was somebody else's, or is masked.
        kept = "email" if name == "previous_attributes" else ""
        return {key: item if key == kept else redact(item, until, key) for key, item in value.items()}
    if isinstance(value, list):
        return [redact(item, until, name) for item in value]
    if not isinstance(value, str) or name in _PLAIN or marked(value):
        return value
    return mark(until) if value and name.endswith("email") else ""


def strip_properties(properties: dict[str, Any]) -> dict[str, Any]:
    """A row's properties without the person."""
    kept = {name: value for name, value in properties.items() if name in _PROPERTIES}
    if items := properties.get("Items"):
        kept["Items"] = [{name: value for name, value in item.items() if name != "Description"} for item in items]
    return kept


def strip_row(row: dict[str, Any]) -> dict[str, Any]:
    """A metric row (see `schemas.metrics`) with its money and Stripe's ids of it, and without the person."""
    stripped = row | {"email": "", "unlinked_reason": "" if row.get("withdrawn") else REASON}
    stripped |= {name: "" for name in ("customer_id", "reason") if name in row}
    if "properties" in row:
        stripped["properties"] = strip_properties(row["properties"])
    if "lines" in row:
        stripped["lines"] = [line | {"description": "", "metadata": {}} for line in row["lines"]]
    return stripped
