"""What may go wrong on the way to the endpoints: plain values that a test sets on the running server.

Source: Stripe, "Webhooks: event delivery behaviors".
"""

from dataclasses import dataclass


@dataclass
class WebhookFaults:
    """On the way to the endpoints, as shares from 0 to 1; the same `seed` picks the same events.

    `lost`: no delivery is ever made, though Stripe believes it was (`delivery_success` is true, nothing is pending).
    `duplicate`: delivered twice. `shuffle_seconds`: a delivery may come that much later than it should.
    `late`: held back for `late_seconds`. All in seconds of the virtual clock.
    """

    lost: float = 0.0
    duplicate: float = 0.0
    shuffle_seconds: int = 0
    late: float = 0.0
    late_seconds: int = 3_600
    seed: int = 0
