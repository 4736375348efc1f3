"""Stripe's API: connecting to it, look-ups, imports, sweeps and the comparison of both sides.

What it learns enters by `stripe.events`. Rules that decide (ranges of time, pace, what is worth asking) are pure; the
file beside each does the I/O.
"""
