"""Rows of a benchmark as they are found: a line each, or all of them as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def tell(rows: Iterable[dict[str, Any]], as_json: bool) -> None:
    """Print rows one by one, or as JSON once all are found."""
    found = []
    for row in rows:
        found.append(row)
        if not as_json:
            print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()), flush=True)
    if as_json:
        print(json.dumps(found, indent=1))
