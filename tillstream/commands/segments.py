"""`segments`: groups of people by what they did and what is known of them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from schemas.errors import ConfigurationError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands import klaviyo
from tillstream.commands.options import Data, Json, Segment, Test

if TYPE_CHECKING:
    from warehouse.waiting import Warehouse


app = typer.Typer(
    name="segments",
    help="Groups of people by what they did and what is known of them.\n\n"
    "Example:  tillstream segments count unpaid-invoices",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("import")(klaviyo.import_segments)


@app.command("list")
def list_segments(test: Test = False, data: Data = None, as_json: Json = False) -> None:
    """Every segment, with its members as of its last evaluation.

    Exit code 1 when a file is wrong: each mistake is named.

    Example:  tillstream segments list
    """
    from engage.segments.library import find
    from warehouse.waiting import open_warehouse

    settings = load_settings(tillstream_data=data)
    found = find(settings.project)
    sizes = _sizes(open_warehouse(settings), not test)
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "title": each.definition.title if each.definition else "",
            "description": each.definition.description if each.definition else "",
            "members": sizes.get(name),
            "every": str(each.definition.every) if each.definition else "",
            "file": str(each.path),
            "shipped": each.shipped,
            "problems": [str(problem) for problem in each.problems],
        }
        for name, each in found.items()
    ]
    if as_json:
        screen.say_json(rows)
    else:
        table = _table("segment", "members", "title", "every", "")
        for row in rows:
            members = "·" if row["members"] is None else f"{row['members']:,}"
            mark = (
                Text("broken", style="red") if row["problems"] else Text("ready" if row["shipped"] else "", style="dim")
            )
            table.add_row(row["name"], members, row["title"], row["every"], mark)
        screen.out.print(table)
        for each in found.values():
            if each.problems:
                screen.err.print(Text(each.problem, style="red"))
    if any(row["problems"] for row in rows):
        raise typer.Exit(1)


@app.command()
def show(name: Segment, data: Data = None, as_json: Json = False) -> None:
    """One segment: its conditions in words, and its YAML.

    Example:  tillstream segments show lapsed-customers
    """
    from engage.conditions.words import line, words
    from engage.segments.library import get
    from tillstream.segments import definition_text

    settings = load_settings(tillstream_data=data)
    definition, (text, path) = get(settings.project, name), definition_text(settings, name)
    if as_json:
        screen.say_json({**definition.model_dump(mode="json"), "file": path, "yaml": text})
        return
    screen.out.print(Text(definition.title, style="bold"))
    if definition.description:
        screen.out.print(definition.description)
    screen.out.print(Text(f"\n{line(words(definition.root))}\n", style="cyan"))
    screen.out.print(Text(f"# {path}", style="dim"))
    screen.out.print(Text(text.rstrip()))


@app.command()
def count(name: Segment, test: Test = False, data: Data = None, as_json: Json = False) -> None:
    """How many members there are at this moment; nothing is written.

    Example:  tillstream segments count unpaid-invoices
    """
    from engage.config import clock
    from engage.segments.library import get
    from tillstream.segments import size
    from warehouse.waiting import open_warehouse

    settings = load_settings(tillstream_data=data)
    found = size(open_warehouse(settings), get(settings.project, name), not test, clock(settings))
    if as_json:
        screen.say_json({"segment": name, "livemode": not test, "members": found})
    else:
        screen.out.print(f"{found:,}")


@app.command()
def members(
    name: Segment,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many, by email.")] = 20,
    after: Annotated[str, typer.Option("--after", metavar="EMAIL", help="Go on after this one, the last shown.")] = "",
    test: Test = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Who is a member at this moment, a page at a time.

    Example:  tillstream segments members unpaid-invoices -n 50 --after jenny.rosen@example.com
    """
    rows = list(_members(name, not test, data, after.strip().lower(), limit))
    if as_json:
        from tillstream.segments import jsonable

        screen.say_json([{key: jsonable(value) for key, value in row.items()} for row in rows])
        return
    if not rows:
        screen.out.print("nobody" if not after else "nobody else")
        return
    table = _table("email", "", "name", "country", "last seen (UTC)")
    for row in rows:
        value = ", ".join(f"{amount} {currency}" for currency, amount in sorted(row["lifetime_value"].items()))
        table.add_row(row["email"], value, row["name"], row["country"], f"{row['last_seen']:%Y-%m-%d %H:%M}")
    screen.out.print(table)
    if len(rows) == limit:
        screen.out.print(
            Text(screen.typed(f"more:  tillstream segments members {name} --after {rows[-1]['email']}"), style="dim")
        )


@app.command()
def explain(name: Segment, data: Data = None, as_json: Json = False) -> None:
    """How many people satisfy each condition, and the query with its parameters.

    Example:  tillstream segments explain lapsed-customers
    """
    from engage.conditions import compile_members
    from engage.conditions.words import sentence
    from engage.config import clock
    from engage.segments.library import get
    from tillstream.segments import counts
    from warehouse.waiting import open_warehouse

    settings = load_settings(tillstream_data=data)
    definition, now = get(settings.project, name), clock(settings)
    query, found = compile_members(definition, now), counts(open_warehouse(settings), definition, now)
    told = [sentence(leaf) for leaf in definition.leaves()]
    if as_json:
        conditions: list[dict[str, Any]] = [
            {"condition": each, "live": live, "test": test}
            for each, live, test in zip(told, found[True][0], found[False][0], strict=True)
        ]
        sizes = {"live": found[True][1], "test": found[False][1]}
        screen.say_json(
            {"conditions": conditions, "members": sizes, "sql": query.text, "parameters": dict(query.parameters)}
        )
        return
    table = _table("live", "test", "condition", numbers=2)
    for each, live, test in zip(told, found[True][0], found[False][0], strict=True):
        table.add_row(f"{live:,}", f"{test:,}", each)
    table.add_section()
    table.add_row(f"{found[True][1]:,}", f"{found[False][1]:,}", Text("members", style="bold"))
    screen.out.print(table)
    screen.out.print(Text(f"\n{query.text}\n", style="cyan"))
    for parameter, value in query.parameters.items():
        screen.out.print(Text.assemble((f"{parameter:>6} ", "dim"), repr(value)))


@app.command()
def export(
    name: Segment,
    output_format: Annotated[Literal["csv", "json"], typer.Option("--format", help="csv, or json a line.")] = "csv",
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="A file instead of standard output.")] = None,
    test: Test = False,
    data: Data = None,
) -> None:
    """All members with name, country, first and last seen and lifetime value.

    Example:  tillstream segments export lapsed-customers --to lapsed.csv
    """
    from tillstream.segments import lines

    told = lines(_members(name, not test, data, "", None), output_format)
    if to is None:
        sys.stdout.writelines(told)
        return
    try:
        with to.open("w", encoding="utf-8", newline="") as file:
            file.writelines(told)
    except OSError as error:
        raise ConfigurationError(f"{to} can't be written: {error.strerror}", remedy="another --to") from None


@app.command()
def validate(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="One YAML file; without, all of the project and the ready ones."),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What is wrong with segments, by line and column, with the nearest name.

    Exit code 1 when something is.

    Example:  tillstream segments validate segments/vip.yaml
    """
    from engage.conditions import validate as problems_of
    from engage.segments.library import find

    found = find(load_settings(tillstream_data=data).project)
    if file is None:
        wrong = {str(each.path): list(each.problems) for each in found.values()}
    else:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file} can't be read: {error}", remedy="name a YAML file") from None
        wrong = {str(file): problems_of(text, file.stem, {*found, file.stem})}
    if as_json:
        screen.say_json(
            [
                {
                    "file": path,
                    "line": each.line,
                    "column": each.column,
                    "message": each.message,
                    "nearest": each.nearest,
                }
                for path, problems in wrong.items()
                for each in problems
            ]
        )
    else:
        for path, problems in wrong.items():
            for each in problems:
                screen.out.print(f"{path}:{each}")
        if not any(wrong.values()):
            screen.out.print(
                Text(f"{len(wrong)} segment{'' if len(wrong) == 1 else 's'}, nothing wrong", style="green")
            )
    if any(wrong.values()):
        raise typer.Exit(1)


def _members(name: str, livemode: bool, data: Path | None, after: str, most: int | None) -> Any:
    from engage.conditions import compile_members
    from engage.config import clock
    from engage.segments.library import get
    from tillstream import segments
    from warehouse.waiting import open_warehouse

    settings = load_settings(tillstream_data=data)
    query = compile_members(get(settings.project, name), clock(settings))
    return segments.pages(open_warehouse(settings), segments.members(query, livemode), after, most)


def _sizes(warehouse: "Warehouse", livemode: bool) -> dict[str, int]:
    rows = warehouse.rows(
        "SELECT segment, argMax(members, day) AS members FROM segment_sizes WHERE livemode = {live:Bool} "
        "GROUP BY segment",
        {"live": livemode},
    )
    return {row["segment"]: row["members"] for row in rows}


def _table(*columns: str, numbers: int = 0) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        right = index < numbers or column in ("members", "")
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table
