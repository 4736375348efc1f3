"""A Stripe lookalike for demos, tests and benchmarks: a seeded world, its webhooks, and enough of Stripe's API.

It knows the true metrics of its own history, so that whatever listens can be judged; it reads nothing of Tillstream.
"""
