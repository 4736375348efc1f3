"""`python -m benchmarks [NAME …]`: each prints its figures, and a reference measured in the same run."""

import argparse
import asyncio
import json

from benchmarks import chain, console, door, flows, flush, imports, latency, ledger, processors, segments

BENCHMARKS = {
    "chain": chain.measure,
    "console": console.measure,
    "door": door.measure,
    "flows": flows.measure,
    "flush": flush.measure,
    "imports": imports.measure,
    "latency": latency.measure,
    "ledger": ledger.measure,
    "processors": processors.measure,
    "segments": segments.measure,
}

parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Figures with a reference in the same run.")
parser.add_argument(
    "names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHMARKS)}; all when none is given"
)
parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
given = parser.parse_args()
if unknown := set(given.names) - set(BENCHMARKS):
    parser.error(f"no benchmark {', '.join(sorted(unknown))}")
results = {}
for name in given.names or BENCHMARKS:
    results[name] = asyncio.run(BENCHMARKS[name]())
    if not given.json:
        print(name)
        for figure, value in results[name].items():
            print(f"  {figure:<32} {value:>12,.2f}")
if given.json:
    print(json.dumps(results))
