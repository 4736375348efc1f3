"""`segments import` and `flows import`: from the answers of Klaviyo's API to YAML in the project folder."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from schemas.errors import ConfigurationError
from settings.loading import load_settings
from tillstream import screen
from tillstream.commands.options import Data, DryRun, Json

if TYPE_CHECKING:
    from engage.klaviyo.document import Names
    from engage.klaviyo.refusals import Imported
    from settings.table import Settings

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="What Klaviyo's API answered, as JSON.", exists=True, dir_okay=False)
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", metavar="ID=NAME", help="What a metric's id stands for, such as X1y2Z3='Failed Payment'."),
]
Segments = Annotated[
    list[str] | None,
    typer.Option("--segment", metavar="ID=NAME", help="Which segment here a group's id stands for."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Also where a file of that name is already.")]


def import_segments(
    file: File,
    metric: Metrics = None,
    segment: Segments = None,
    currency: Annotated[
        str, typer.Option("--currency", metavar="USD", help="The currency of sums: Klaviyo's $value has none.")
    ] = "",
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write Klaviyo's segments as YAML. What has no counterpart here is refused by name; nothing is left out unsaid.

    FILE is the answer of GET /api/segments/ID or /api/segments. Exit code 0 when all were written, 1 when one was not.

    Example:  tillstream segments import vip.json --metric X1y2Z3='Successfully Paid' --currency usd
    """
    from engage.klaviyo.segments import import_segments as read

    settings = load_settings(tillstream_data=data)
    document = _read(file)
    names = replace(_names(document, settings, metric, segment), currency=currency)
    _write("segments", read(document, names), settings.project, file, overwrite, dry_run, as_json)


def import_flows(
    file: File,
    metric: Metrics = None,
    segment: Segments = None,
    template: Annotated[
        list[str] | None,
        typer.Option("--template", metavar="ID=NAME", help="Which template here stands for one of Klaviyo's."),
    ] = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write Klaviyo's flows as YAML, as drafts. What has no counterpart here is refused by name.

    FILE is the answer of GET /api/flows/ID?additional-fields[flow]=definition. Exit code 0 when all were written, 1
    when one was not.

    Example:  tillstream flows import dunning.json --metric X1y2Z3='Failed Payment' --template T1=failed_payment
    """
    from engage.klaviyo.flows import import_flows as read

    settings = load_settings(tillstream_data=data)
    document = _read(file)
    names = replace(_names(document, settings, metric, segment), templates=_pairs("--template", template))
    _write("flows", read(document, names), settings.project, file, overwrite, dry_run, as_json)


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{file} can't be read as JSON: {error}", remedy="save the API's answer whole"
        ) from None


def _names(document: Any, settings: "Settings", metric: list[str] | None, segment: list[str] | None) -> "Names":
    from engage.klaviyo.document import names_in

    found = names_in(document)
    return replace(
        found,
        metrics={**found.metrics, **_pairs("--metric", metric)},
        segments={**found.segments, **_pairs("--segment", segment)},
        timezone=settings.tillstream_timezone,
    )


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    pairs = [text.partition("=") for text in given or ()]
    if wrong := next((left for left, _, right in pairs if not left or not right), None):
        raise ConfigurationError(f"{option} {wrong}: an id and a name are needed", remedy=f"{option} ID=NAME")
    return {left: right for left, _, right in pairs}


def _write(
    kind: str, found: "list[Imported]", project: Path, file: Path, overwrite: bool, dry_run: bool, as_json: bool
) -> None:
    from engage.klaviyo.segments import as_yaml

    folder = project / kind
    texts = {
        each.name: as_yaml(each.content, f"# From Klaviyo: {each.title} ({file.name})\n")
        for each in found
        if each.content is not None
    }
    if existing := [name for name in texts if (folder / f"{name}.yaml").exists() and not overwrite and not dry_run]:
        raise ConfigurationError(
            f"there is already: {', '.join(str(folder / f'{name}.yaml') for name in existing)}",
            remedy="the same command with --overwrite",
        )
    if not dry_run:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / f"{name}.yaml").write_text(text, "utf-8")
    if as_json:
        screen.say_json(
            {
                kind: [
                    asdict(each)
                    | {"file": str(folder / f"{each.name}.yaml") if each.content else "", "dry_run": dry_run}
                    for each in found
                ]
            }
        )
    else:
        for each in found:
            _show(each, folder / f"{each.name}.yaml", texts.get(each.name, "") if dry_run else "")
    raise typer.Exit(0 if len(texts) == len(found) else 1)


def _show(each: "Imported", path: Path, text: str) -> None:
    if each.content is None:
        screen.out.print(Text.assemble(("not imported: ", "bold red"), each.title))
        for refusal in each.refusals:
            screen.out.print(Text.assemble(("  ✗ ", "red"), str(refusal)))
    else:
        screen.out.print(Text.assemble(("would write " if text else "written: ", "bold green"), str(path)))
        if text:
            screen.out.print(Text(text))
    for note in each.notes:
        screen.out.print(Text.assemble(("  · ", "yellow"), note))
