"""Messages on `stripe.events` as they were before what is known of an event stood in headers."""

from schemas.envelope import EventMessage, read_envelope


def older(message: EventMessage) -> EventMessage:
    """The same event as the door put it on the topic then."""
    envelope = read_envelope(message.value, message.headers)
    return EventMessage(message.key, envelope.model_dump_json(exclude={"webhook_at"}).encode(), ())
