"""Forms that share nothing: a posterior that is a product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Independent forms by the prefix of their sites, "" for none."""

    parts: Mapping[str, Any]
