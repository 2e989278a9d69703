"""Faults in rows that are never all in memory: counted as they are met, with the first few, and said in sentences at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bayes_causal.data.columns import SHOWN, counted, some

SENTENCES = {
    "null unit": "unit column '{name}' is missing in {rows}: every row needs one; drop or repair these rows",
    "null time": "time column '{name}' is missing in {rows}: every row needs one; drop or repair these rows",
    "null treatment": "treatment column '{name}' is missing in {rows}: it must be 0 or 1 in every row",
    "not binary": "treatment column '{name}' must be 0 or 1, and {rows} hold {values}",
    "null group": "group column '{name}' is missing in {rows}: every treated row needs one",
    "infinite": "{role} column '{name}' is infinite in {rows}",
    "incomplete": (
        "covariate column '{name}' is missing in {rows} that have an outcome: fill it deliberately, or leave these rows out"
    ),
    "repeated": (
        "{rows} repeat a (unit, time) pair that an earlier row has: a panel has one row per unit and time; sum or average them "
        "first"
    ),
    "changing cohort": "cohort column '{name}' must be constant within a unit, and changes in {rows}",
    "negative cohort": "cohort column '{name}' is negative in {rows}: never treated is 0, infinite or missing",
}


@dataclass
class Faults:
    """What is wrong with the rows met so far: counts, first rows (from 0) and values, by kind of fault and column."""

    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)
    rows: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)
    values: dict[tuple[str, str, str], list[Any]] = field(default_factory=dict)

    def note(self, kind: str, name: str, rows: np.ndarray, values: np.ndarray | None = None, role: str = "") -> None:
        """Note that these rows, numbered over the whole source, have a fault."""
        if rows.size:
            self.count(kind, name, int(rows.size), role)
            key = (kind, name, role)
            room = SHOWN - len(self.rows.setdefault(key, []))
            self.rows[key] += [int(r) for r in rows[:room]]
            if values is not None:
                self.values[key] = [*self.values.get(key, []), *np.unique(values).tolist()][: 4 * SHOWN]

    def count(self, kind: str, name: str, count: int, role: str = "") -> None:
        """Note how many rows have a fault, where nothing says which."""
        if count:
            key = (kind, name, role)
            self.counts[key] = self.counts.get(key, 0) + int(count)

    def add(self, other: Faults) -> None:
        """Add the faults of later rows."""
        for key, count in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + count
            self.rows[key] = [*self.rows.get(key, []), *other.rows.get(key, [])][:SHOWN]
            self.values[key] = [*self.values.get(key, []), *other.values.get(key, [])][: 4 * SHOWN]

    def __bool__(self) -> bool:
        return bool(self.counts)

    def sentences(self) -> list[str]:
        """One problem a kind and column."""
        return [
            SENTENCES[kind].format(
                name=name,
                role=role,
                rows=counted(count, self.rows.get((kind, name, role), ())),
                values=some(np.unique(self.values.get((kind, name, role)) or ["other values"])),
            )
            for (kind, name, role), count in self.counts.items()
        ]
