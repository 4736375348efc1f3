"""Where a ClickHouse is, and how it lets us in."""

from dataclasses import dataclass, field

from schemas.addresses import keep_login_apart


@dataclass(frozen=True, slots=True)
class Address:
    """`url` is `http(s)://[user:password@]host:port`, whose own login comes first; '' when no ClickHouse is named."""

    url: str = ""
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = "tillstream"

    def __post_init__(self) -> None:
        keep_login_apart(self, "url", "user", "password")
