"""All rules. Each takes the facts and yields what it finds; pure, and tested by name one by one."""

from doctor import rules_durability, rules_engage, rules_machine, rules_money, rules_stripe
from doctor.facts import Facts
from schemas.verdict import Finding

RULES = (
    *rules_machine.RULES,
    *rules_durability.RULES,
    *rules_stripe.RULES,
    *rules_money.RULES,
    *rules_engage.RULES,
)


def findings(facts: Facts) -> tuple[Finding, ...]:
    """Everything that is not as it should be."""
    return tuple(finding for rule in RULES for finding in rule(facts))
