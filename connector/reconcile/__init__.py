"""The proof: what we have against what Stripe has, fact by fact, and by currency and day to the minor unit.

`stripe_side` says what an API object means by Stripe's words alone, without the ledger's code; `compare` is pure.
"""
