"""What a statement would read, write or connect to outside the engine's own data: files, programs, other servers.

The engine has no rights that would keep them apart, so each statement is looked at before it runs, in the one form in
which the engine itself writes what it has parsed (`formatQuery`): no quotes, blanks, comments or letter case can hide a
name there, and a call is a name with its bracket right behind it. Statements, table functions, engines, sources of
dictionaries and textual settings are let through by name, so that what a newer engine brings is refused until it is
known here. Pure functions; the wall behind these rules is in `confinement.py`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

SPOOL: Final = "'spool'"  # stands for an insert's data, the only file that a statement may name

_TOKEN: Final = re.compile(
    r"(?P<blank>\s+)|(?P<text>'(?:[^'\\]|\\.)*')|(?P<name>`(?:[^`\\]|\\.)*`|\"(?:[^\"\\]|\\.)*\"|[^\W\d]\w*)"
    r"|(?P<number>\d[\w.]*)|(?P<sign>.)",
    re.DOTALL,
)
_OBJECTS: Final = "TABLE VIEW MATERIALIZED DATABASE DICTIONARY FUNCTION TEMPORARY".split()
# Kinds of statements, and the words of which one follows; () for any.
_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys("SELECT WITH INSERT DESCRIBE SHOW EXISTS EXPLAIN SET USE CHECK".split(), ()),
    **dict.fromkeys("OPTIMIZE DELETE UPDATE UNDROP KILL BEGIN COMMIT ROLLBACK".split(), ()),
    **dict.fromkeys("CREATE REPLACE ATTACH".split(), (*_OBJECTS, "OR")),
    **dict.fromkeys("DROP DETACH TRUNCATE".split(), (*_OBJECTS, "ALL", "TABLES")),
    **dict.fromkeys("RENAME EXCHANGE".split(), ("TABLE", "TABLES", "DATABASE", "DICTIONARY", "DICTIONARIES")),
    "ALTER": ("TABLE", "TEMPORARY"),
    "SYSTEM": tuple("FLUSH RELOAD START STOP SYNC WAIT REFRESH CANCEL DROP CLEAR".split()),
}
READING: Final = frozenset("SELECT WITH DESCRIBE SHOW EXISTS EXPLAIN CHECK SET USE".split())
_FUNCTIONS: Final = frozenset(
    "sqlstandardvalues dictionary format generaterandom generateseries generate_series input merge mergetreeindex "
    "mergetreeprojection null numbers numbers_mt primes values view viewexplain viewifpermitted zeros zeros_mt".split()
)
_ENGINES: Final = frozenset(
    "mergetree replacingmergetree summingmergetree aggregatingmergetree collapsingmergetree coalescingmergetree "
    "versionedcollapsingmergetree graphitemergetree memory log tinylog stripelog null set join merge dictionary view "
    "materializedview generaterandom atomic ordinary".split()
)
_SCALARS: Final = frozenset(  # functions of values that reach out
    "file hascolumnintable catboostevaluate reversednsquery aiclassify aiembed aiextract aifilter aigenerate airedact "
    "aisimilarity aitranslate".split()
)
_SOURCES: Final = frozenset({"null", "clickhouse"})
_OWN_TABLE: Final = frozenset({"clickhouse", "table", "db"})  # what a dictionary of an own table says of it
_SETTINGS: Final = frozenset(  # of those that are text: what names no file, server, collection or piece of SQL
    "bool_false_representation bool_true_representation chdb_client_name column_names_for_schema_inference "
    "compatibility count_distinct_implementation database default_format errors_output_format "
    "exclude_materialize_skip_indexes_on_insert force_data_skipping_indices force_optimize_projection_name format "
    "format_csv_null_representation format_custom_field_delimiter format_custom_result_after_delimiter "
    "format_custom_result_before_delimiter format_custom_row_after_delimiter format_custom_row_before_delimiter "
    "format_custom_row_between_delimiter format_json_object_each_row_column_for_object_name format_regexp "
    "format_template_row_format format_template_resultset_format format_template_rows_between_delimiter "
    "format_tsv_null_representation ignore_data_skipping_indices input_format input_format_mysql_dump_table_name "
    "input_format_orc_reader_time_zone_name insert_deduplication_token log_comment metrics_perf_events_list "
    "network_compression_method output_format output_format_avro_codec output_format_avro_string_column_pattern "
    "output_format_orc_writer_time_zone_name output_format_pretty_grid_charset "
    "output_format_sql_insert_table_name preferred_optimize_projection_name query_cache_tag "
    "send_logs_source_regexp temporary_files_codec trace_profile_events_list workload".split()
)
_SETTINGS_THAT_PARSE: Final = frozenset({"dialect", "implicit_select", "additional_table_filters"})
_HIGHER_ORDER: Final = ("array", "map", "apply", "filter", "transform", "reduce", "any", "all")
_STRUCTURED: Final = frozenset({"format", "generaterandom", "null", "values"})  # given columns as text
_COLUMN_CODE: Final = re.compile(r"\b(default|alias|materialized|ephemeral)\b", re.IGNORECASE)


class Registry(NamedTuple):
    """What the engine knows by name, in lower case: functions and engines of tables and databases, textual settings."""

    sources: frozenset[str]
    settings: frozenset[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kind` is the statement's first word, `refused` what would reach outside, '' for nothing.

    `identifiers` are the parameters that stand for a table, a column or a database.
    """

    kind: str
    refused: str = ""
    identifiers: tuple[str, ...] = ()


class _Token(NamedTuple):
    text: str
    called: bool  # a bracket is right behind it

    @property
    def word(self) -> str:
        return self.text.upper()

    @property
    def name(self) -> str:
        return (self.text[1:-1] if self.text[:1] in ("`", '"') else self.text).lower()


def judge(canonical: str, known: Registry) -> Verdict:
    """Of a statement as the engine writes it."""
    tokens = list(_tokens(canonical))
    kind, object_, *_ = [*(token.word for token in tokens if token.text != "("), "", ""]
    if kind not in _KINDS or (_KINDS[kind] and object_ not in _KINDS[kind]):
        return Verdict(kind, f"{kind} {object_}".strip())
    identifiers = tuple(
        tokens[at - 2].text
        for at in range(2, len(tokens))
        if tokens[at].word == "IDENTIFIER" and tokens[at - 1].text == ":"
    )
    return Verdict(kind, next(_outside(tokens, kind, known), ""), identifiers)


def names_file(name: str) -> bool:
    """Whether the engine would take such a table's name for a file's."""
    return name.startswith(("/", ".", "~")) or "../" in name or "://" in name


def refused_setting(name: str, known: Registry) -> bool:
    """Whether what it is set to could be a path, an address, or SQL."""
    return name in _SETTINGS_THAT_PARSE or (name in known.settings and name not in _SETTINGS)


def refused_identifier(value: str) -> bool:
    """Whether a parameter's value, in the place of a name, would reach outside."""
    return "/" in value or names_file(value) or value.lower() in _SCALARS


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "blank":
            yield _Token(match[0], match.lastgroup == "name" and text[match.end() : match.end() + 1] == "(")


def _outside(tokens: list[_Token], kind: str, known: Registry) -> Iterator[str]:
    settings, makes = kind == "SET", kind in ("CREATE", "REPLACE", "ATTACH")
    ended = _Token("", False)
    for at, token in enumerate(tokens):
        before = tokens[at - 1] if at else ended
        after, second = (*tokens[at + 1 : at + 3], ended, ended)[:2]
        word = token.word
        if token.text in ("'", "`", '"'):
            yield token.text
        elif token.called:
            if _foreign(token, known) or (token.name in _STRUCTURED and _hides_code(tokens, at)):
                yield token.text
            if token.name == "source" and makes and not _own_source(tokens, at):
                yield f"{token.text}({second.text}"
            if token.name.startswith(_HIGHER_ORDER) and (first := _unwrapped(tokens, at)).name in _SCALARS:
                yield first.text
        elif token.text[:1] in ("`", '"') and names_file(token.name):
            yield token.text
        elif word == "APPLY" and _foreign(first := _unwrapped(tokens, at), known):
            yield first.text
        elif word == "ENGINE" and makes and after.text == "=" and second.name not in _ENGINES:
            yield second.text
        elif (word, before.word) in (("OUTFILE", "INTO"), ("WITH", "PARALLEL"), ("INFILE", "FROM")):
            if word != "INFILE" or after.text != SPOOL:
                yield f"{before.text} {token.text}"
        elif (word, kind) == ("FROM", "ATTACH") or (word == "LANGUAGE" and makes and tokens[1].word == "FUNCTION"):
            yield token.text
        elif word in ("SETTINGS", "SETTING"):
            settings = True
        elif settings and after.text == "=" and refused_setting(token.name, known):
            yield token.text
        elif settings and token.name.startswith("param_") and refused_identifier(second.text[1:-1]):
            yield second.text


def _foreign(token: _Token, known: Registry) -> bool:
    name = token.name
    if "\\" in name:  # escapes in a function's name can only hide it
        return True
    return name in _SCALARS or name == "disk" or (name in known.sources and name not in _FUNCTIONS | _ENGINES)


def _unwrapped(tokens: list[_Token], at: int) -> _Token:
    """The next token that is no opening bracket."""
    return next((token for token in tokens[at + 1 :] if token.text != "("), _Token("", False))


def _hides_code(tokens: list[_Token], at: int) -> bool:
    """Whether the columns that a table function is given as text could have expressions of their own.

    `format` is also a function of values, whose first argument is a pattern and not the name of a format.
    """
    arguments = list(_inside(tokens, at + 1))
    first = arguments[0] if arguments else _Token("", False)
    if tokens[at].name == "format" and re.fullmatch(r"\w+", first.text.strip("'`")) is None:
        return False
    looked_at = arguments if tokens[at].name == "format" else arguments[:1]
    return any(token.called or (token.text[:1] == "'" and _COLUMN_CODE.search(token.text)) for token in looked_at)


def _own_source(tokens: list[_Token], at: int) -> bool:
    inside = list(_inside(tokens, at + 1))
    if not inside or inside[0].name not in _SOURCES:
        return False
    names = [token for token in inside if token.text[:1] not in ("(", ")", "'")]
    return all(token.name in _OWN_TABLE for token in names[1:]) and not any(
        names_file(token.text[1:-1]) for token in inside if token.text[:1] == "'"
    )


def _inside(tokens: list[_Token], opening: int) -> Iterator[_Token]:
    """What stands between the bracket at `opening` and its own end."""
    depth = 0
    for token in tokens[opening:]:
        depth += (token.text == "(") - (token.text == ")")
        if depth == 0:
            return
        if not (depth == 1 and token.text == "("):
            yield token
