"""Makes the dashboards in deploy/grafana/dashboards from deploy/grafana/sources:

.venv/bin/python deploy/grafana/build.py

A source is a dashboard's panels with their SQL as people write it; what Grafana wants beside that is said here once.
"""

import json
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent
SOURCE: Final = {"type": "grafana-clickhouse-datasource", "uid": "tillstream"}
COLUMNS: Final = 24  # of Grafana's grid
TABLE, SERIES = 1, 0  # the plugin's formats
STEPS: Final = {"mode": "absolute", "steps": [{"color": "green", "value": None}]}
REDUCED: Final = {"calcs": ["lastNotNull"], "fields": "/.*/", "values": False}
LEGEND: Final = {"displayMode": "list", "placement": "bottom", "showLegend": True}
LINKS: Final = {  # from each dashboard to the others
    "type": "dashboards", "title": "Tillstream", "tags": ["tillstream"], "asDropdown": True, "includeVars": True,
    "keepTime": True,
}  # fmt: skip
HOVER: Final = {"mode": "multi", "sort": "desc"}

# What panels have in common, written {mine}, {currency} and {period} in the sources.
SHORT: Final = {
    "mine": "livemode = ${livemode:raw} AND $__conditionalAll(account IN (${account:sqlstring}), $account)",
    "currency": "currency = ${currency:sqlstring}",
    # The interval that holds the row, in the chosen timezone, as the instant at which it begins.
    "period": "toDateTime(toStartOfInterval(occurred_at, INTERVAL 1 ${interval:raw}, ${timezone:sqlstring}), "
    "${timezone:sqlstring})",
}

# A panel of money has this second query: Grafana takes the unit and its decimals from there, so that 12.34 USD,
# 1234 JPY and 1.234 KWD each look as they should. The exponent is the one between `amount` and `amount_minor`.
MONEY_QUERY: Final = """
SELECT
    concat('suffix:', upper(${currency:sqlstring})) AS unit,
    ifNull(anyOrNull(toUInt8(round(log10(toFloat64(amount_minor) / toFloat64(amount))))), 2) AS decimals
FROM metrics
WHERE {mine} AND {currency} AND amount > 0 AND $__timeFilter(occurred_at)
"""
MONEY_SHOWN: Final = {
    "id": "configFromData",
    "options": {
        "configRefId": "unit",
        "applyTo": {"id": "numeric"},
        "mappings": [{"fieldName": name, "handlerKey": name} for name in ("unit", "decimals")],
    },
}

VARIABLES: Final[dict[str, dict[str, Any]]] = {
    "livemode": {
        "label": "Mode",
        "type": "custom",
        "query": "Live : true, Test : false",
        "current": {"text": "Live", "value": "true"},
        "options": [
            {"text": "Live", "value": "true", "selected": True},
            {"text": "Test", "value": "false", "selected": False},
        ],
    },
    "account": {
        "label": "Account",
        "type": "query",
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "sql": "SELECT DISTINCT account FROM stripe_event_arrivals ORDER BY account",
    },
    "currency": {
        "label": "Currency",
        "type": "query",
        "sql": "SELECT currency FROM metrics\nWHERE livemode = ${livemode:raw} AND $__timeFilter(occurred_at)\n"
        "GROUP BY currency ORDER BY count() DESC, currency",
    },
    "timezone": {
        "label": "Timezone",
        "type": "query",
        # The account's own, as the last comparison with Stripe had it, is the first and so the default.
        "sql": "SELECT time_zone FROM system.time_zones\nORDER BY time_zone = "
        "(SELECT argMax(timezone, checked_at) FROM reconciliations) DESC, time_zone = 'UTC' DESC, time_zone",
    },
    "interval": {
        "label": "By",
        "type": "custom",
        "query": "hour,day,week,month",
        "current": {"text": "day", "value": "day"},
        "options": [{"text": name, "value": name, "selected": name == "day"} for name in "hour day week month".split()],
    },
}


def dashboard(source: dict[str, Any]) -> dict[str, Any]:
    """Grafana's JSON of one source. Raises KeyError for a kind or a variable that is not known here."""
    return {
        "uid": f"tillstream-{source['name']}",
        "title": source["title"],
        "description": source["about"],
        "tags": ["tillstream"],
        "timezone": "browser",
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": 41,
        "version": 1,
        "refresh": source.get("refresh", "5m"),
        "time": {"from": source["from"], "to": source.get("to", "now")},
        "links": [LINKS],
        "annotations": {"list": []},
        "templating": {"list": [variable(name) for name in source["variables"]]},
        "panels": placed([panel(each) for each in source["panels"]]),
    }


def variable(name: str) -> dict[str, Any]:
    """One of VARIABLES."""
    said = {"name": name, "multi": False, "includeAll": False, "hide": 0, **VARIABLES[name]}
    if sql := said.pop("sql", None):
        said |= {"datasource": SOURCE, "query": sql, "definition": sql, "refresh": 2, "sort": 0, "regex": ""}
    return said


def panel(said: dict[str, Any]) -> dict[str, Any]:
    """Everything of a panel but its place."""
    kind = said["kind"]
    width, height = said.get("size", (4, 4))
    made: dict[str, Any] = {"title": said["title"], "gridPos": {"w": width, "h": height}}
    kind_of_panel, options, custom = KINDS[kind]
    money = said.get("unit") == "money"
    defaults: dict[str, Any] = {"color": {"mode": said.get("color", "palette-classic")}, "custom": custom}
    defaults["thresholds"] = steps(said.get("steps"))
    if said.get("unit") and not money:
        defaults["unit"] = said["unit"]
    if legend := said.get("legend"):
        defaults["displayName"] = f"${{__field.labels.{legend}}}"
    if meanings := said.get("values"):
        shown = {
            value: {"text": text, "color": color, "index": index}
            for index, (value, (text, color)) in enumerate(meanings.items())
        }
        defaults["mappings"] = [{"type": "value", "options": shown}]
    if (most := said.get("max")) is not None:
        defaults |= {"min": 0, "max": most}
    targets = [target("A", said["sql"], SERIES if kind in ("lines", "bars", "states") else TABLE)]
    made |= {
        "type": kind_of_panel,
        "description": said["help"],
        "datasource": SOURCE,
        "options": options,
        "fieldConfig": {"defaults": defaults, "overrides": [override(*one) for one in said.get("fields", {}).items()]},
        "targets": targets,
    }
    if money:
        targets.append(target("unit", MONEY_QUERY, TABLE))
        made["transformations"] = [MONEY_SHOWN]
    return made


KINDS: Final[dict[str, tuple[str, dict[str, Any], dict[str, Any]]]] = {
    "stat": ("stat", {"reduceOptions": REDUCED, "colorMode": "value", "graphMode": "none", "textMode": "auto"}, {}),
    "lines": ("timeseries", {"legend": LEGEND, "tooltip": HOVER}, {"lineWidth": 2, "fillOpacity": 8}),
    "bars": (
        "timeseries",
        {"legend": LEGEND, "tooltip": HOVER},
        {"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}},
    ),
    "columns": ("barchart", {"legend": LEGEND, "tooltip": HOVER, "orientation": "auto"}, {"fillOpacity": 80}),
    "states": (
        "status-history",
        {
            "showValue": "never",
            "rowHeight": 0.9,
            "legend": LEGEND | {"showLegend": False},
            "tooltip": {"mode": "single"},
        },
        {"fillOpacity": 90, "lineWidth": 0},
    ),
    "table": ("table", {"showHeader": True, "cellHeight": "sm"}, {"filterable": True}),
    "gauge": (
        "bargauge",
        {"reduceOptions": REDUCED | {"values": True}, "orientation": "horizontal", "displayMode": "basic"},
        {},
    ),
}


def target(ref: str, sql: str, form: int) -> dict[str, Any]:
    """A query as the plugin's editor keeps it."""
    for name, text in SHORT.items():
        sql = sql.replace(f"{{{name}}}", text)
    kind = "table" if form == TABLE else "timeseries"
    said: dict[str, Any] = {"refId": ref, "datasource": SOURCE, "editorType": "sql", "queryType": kind, "format": form}
    return said | {"rawSql": sql.strip()}


def steps(given: dict[str, float] | None) -> dict[str, Any]:
    """Colours from the values at which they begin, the lowest first; the first one's value counts as minus infinity."""
    if not given:
        return STEPS
    found = [{"color": color, "value": value} for color, value in given.items()]
    return {"mode": "absolute", "steps": [found[0] | {"value": None}, *found[1:]]}


def override(name: str, said: dict[str, Any]) -> dict[str, Any]:
    """What is particular to one column, as Grafana's ids of field options and their values."""
    properties = [{"id": key, "value": value} for key, value in said.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def placed(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Numbered, and put side by side from the left; a new line begins when the next one does not fit."""
    x = y = tallest = 0
    for number, each in enumerate(panels, 1):
        place = each["gridPos"]
        if x + place["w"] > COLUMNS:
            x, y, tallest = 0, y + tallest, 0
        place |= {"x": x, "y": y}
        each["id"] = number
        x, tallest = x + place["w"], max(tallest, place["h"])
    return panels


def built() -> dict[Path, str]:
    """Every dashboard's file, with what it should hold."""
    found = {}
    for path in sorted((HERE / "sources").glob("*.yaml")):
        source = {"name": path.stem} | yaml.safe_load(path.read_text("utf-8"))
        found[HERE / "dashboards" / f"{path.stem}.json"] = json.dumps(dashboard(source), indent=2) + "\n"
    return found


if __name__ == "__main__":
    for file, text in built().items():
        file.write_text(text, "utf-8")
