"""Stripe's own account of the money: balance transactions, payouts and the balance. No event tells of them.

`messages` is pure and says what of Stripe's objects is kept, `telling` publishes them; imports and the sweep of the
balance (`connector/balance_sweep.py`) read them.
"""
