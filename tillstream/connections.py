"""How to reach ClickHouse."""

from settings.table import Settings, plain


def clickhouse_password(settings: Settings) -> str:
    """The password for ClickHouse in plain text, '' when there is none."""
    return plain(settings.clickhouse_password)
