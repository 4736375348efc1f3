"""The world as Stripe writes it: objects, events and notices in JSON, by API version. Pure."""
