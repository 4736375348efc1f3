"""Rules about the second witness: does every cent of Stripe's own account of the money have a name here?"""

from collections.abc import Iterator

from doctor.facts import Facts
from schemas.verdict import Finding, Severity


def balance_unchecked(facts: Facts) -> Iterator[Finding]:
    """Said, and no more: all else is as complete and correct without it."""
    for account in facts.accounts:
        if account.balance is not None and account.balance.state == "unchecked":
            text = f"the balance of account {account.name} is not checked: {account.balance.error}"
            remedy = (
                "give the restricted key “Read” for balance, balance transaction sources and payouts "
                "at https://dashboard.stripe.com/apikeys"
            )
            yield Finding("balance-unchecked", Severity.HINT, text, remedy, account.name)


def balance_failed(facts: Facts) -> Iterator[Finding]:
    """The witness did not answer."""
    for account in facts.accounts:
        if account.balance is not None and account.balance.state == "failed":
            text = f"the balance of account {account.name} could not be read: {account.balance.error}"
            yield Finding("balance-failed", Severity.WARNING, text, "tillstream sweep", account.name)


def tieout_different(facts: Facts) -> Iterator[Finding]:
    """Money without a name, or a row without its money."""
    for account in facts.accounts:
        balance, run = account.balance, account.tieout
        if balance is not None and balance.state != "unchecked" and run is not None and run.state == "different":
            text = f"not every cent of account {account.name} has a name: {run.differences:,} ids do not tie"
            remedy = f"tillstream tieout --account {account.name}"
            yield Finding("tieout-different", Severity.ERROR, text, remedy, account.name)


RULES = (balance_unchecked, balance_failed, tieout_different)
