"""Stripe's REST API as far as Tillstream uses it."""
