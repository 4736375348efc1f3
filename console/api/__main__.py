"""Writes the document of the API: to docs/contracts/openapi.json, or to the file that it is given."""

import sys
from pathlib import Path

from console.api.openapi import FILE, text
from console.api.server import operations_alone

if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    path.write_text(text(operations_alone()), "utf-8")
