"""What is wrong with the `data` keys of a study as the declaration of several series, before any data are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_causal.data.build_multi_series import MultiSeriesDeclaration


def declared_problems(keys: Mapping[str, Any], example: bool) -> list[str]:
    """Parts that nobody plays, or that one column plays twice; an example knows its own series."""
    parts = {part: tuple(keys.get(part) or ()) for part in ("outcomes", "shocks", "controls")}
    if example and not parts["outcomes"]:
        parts["outcomes"] = ("(outcomes)",)
    return MultiSeriesDeclaration(**parts, time=keys.get("time")).problems()
