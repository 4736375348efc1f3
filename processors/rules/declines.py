"""Does it help to try again? The class of a failed payment, from the codes that Stripe passes on.

Sources: Stripe, "Smart Retries" (the codes after which it doesn't retry without a new payment method), "Decline codes"
and "Card declines" (advice codes), "ACH Direct Debit: failures" and "SEPA Direct Debit: failures".
"""

from typing import Final

_AUTHENTICATION: Final = frozenset({"authentication_required", "payment_intent_authentication_failure"})
_HARD: Final = frozenset(
    # Smart Retries stop after these.
    "incorrect_number lost_card pickup_card stolen_card revocation_of_authorization revocation_of_all_authorizations "
    "highest_risk_level transaction_not_allowed "
    # The next step is another card, or its right details.
    "expired_card invalid_number invalid_expiry_month invalid_expiry_year incorrect_cvc invalid_cvc invalid_account "
    "new_account_information_available card_not_supported currency_not_supported restricted_card security_violation "
    "fraudulent merchant_blacklist stop_payment_order service_not_allowed not_permitted "
    # Of bank debits: the account or the mandate is no more.
    "account_closed account_frozen bank_account_restricted bank_ownership_changed debit_not_authorized "
    "debit_authorization_not_match invalid_account_number no_account".split()
)
_ADVICE: Final = {"do_not_try_again": "hard", "confirm_card_data": "hard", "try_again_later": "soft"}


def decline_class(code: str, decline: str, advice: str) -> str:
    """`hard`: only another payment method, or its right details, help; `authentication`: the customer has to confirm;
    `soft`: another try may go through; '' when Stripe gives no code. `decline` is the outcome's reason.

    The issuer's advice counts more than the code, which may be a vague one.
    """
    if not _AUTHENTICATION.isdisjoint((code, decline)):
        return "authentication"
    if advice in _ADVICE:
        return _ADVICE[advice]
    if not _HARD.isdisjoint((code, decline)):
        return "hard"
    return "soft" if code or decline else ""
