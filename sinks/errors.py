"""What ClickHouse may say no to; whether to ask again depends on which it was."""

from schemas.errors import TillstreamError


class Refused(TillstreamError):
    """These rows can't be taken; asking again would change nothing."""


class Rejected(TillstreamError):
    """ClickHouse answered with an error that has nothing to do with the rows, such as a missing table."""
