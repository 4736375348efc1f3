"""What happens in simulated Stripe accounts and what is true of it: seeded, pure, of no API version."""
