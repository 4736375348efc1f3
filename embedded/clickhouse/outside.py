"""What a statement would read or write outside the engine's own data: files of this machine, other servers.

The engine has no rights that would keep them apart, so the statement's words are looked at. What is refused is the call
of a table function, table engine or dictionary source by its name, and a file's path in the place of a table's name.
It is a fence against mistakes and curious queries, not a wall against somebody who holds the password.
"""

import re

from embedded.clickhouse.statement import words

_SOURCE = re.compile(
    r"(file|filesystem|disk|url|s3|s3queue|gcs|oss|cosn|hdfs|azureblobstorage|azurequeue|remote|remotesecure|mysql"
    r"|materializedmysql|postgresql|materializedpostgresql|mongodb|redis|sqlite|odbc|jdbc|executable|executablepool"
    r"|python|bigquery|ytsaurus|arrowflight|embeddedrocksdb|kafka|nats|rabbitmq|eval|cluster|clusterallreplicas"
    r"|(iceberg|deltalake|hudi|paimon)\w*)(cluster)?",
    re.IGNORECASE,
)
_UNQUOTED = {ord("`"): None, ord('"'): None}
_NAMES_FOLLOW = ("INTO", "TABLE", "EXISTS", "VIEW", "DICTIONARY", "DATABASE", ".", "INDEX", "PROJECTION")
_TABLES_FOLLOW = ("FROM", "JOIN", "INTO", "TABLE", "EXISTS", "DESCRIBE", "DESC", "DEFAULT.")


def outside(sql: str) -> str:
    """The name of the first such source, as it was written; '' when there is none."""
    last = ["", "", ""]  # the words before, as they were written
    for word in words(sql):
        if word.text == "(" and _is_source(last[1].upper(), last[2]):
            return last[2]
        before = "".join(last[1:] if last[2] == "." else last[2:]).upper()
        if word.text[0] in "`\"'" and before.translate(_UNQUOTED) in _TABLES_FOLLOW and "/" in word.text:
            return word.text
        last = [*last[1:], word.text]
    return ""


def _is_source(before: str, name: str) -> bool:
    quoted = name[:1] in ("`", '"')
    if quoted and "\\" in name:  # escapes in a function's name can only hide it
        return True
    return before not in _NAMES_FOLLOW and _SOURCE.fullmatch(name[1:-1] if quoted else name) is not None
