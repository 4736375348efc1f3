"""Faust agents that turn `stripe.events` into metric rows and profiles: dedupe ▸ ledger ▸ profiles.

Rules live in `processors.rules` and know no I/O; the files beside it move messages and state.
"""
