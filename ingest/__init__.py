"""The door: verifies Stripe's signed webhooks and publishes them to `stripe.events`, acknowledged before the 200.

Nothing is interpreted here beyond what the key and the envelope need; business rules live in `processors`.
"""
