"""Checks of one treated unit, asked of each where several are treated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import xarray as xr

from bayes_causal.checks.base import Check
from bayes_causal.models.base import Model
from bayes_causal.models.kinds import UnitByUnit

TOLD = 3  # units whose findings are written out, those that fail first


def unit_by_unit(check: Callable[..., Check]) -> Callable[..., Check]:
    """The check as it is; of a model of several treated units, that of each, refitted alone where it refits, in one."""

    @wraps(check)
    def asked(model: Model, tree: xr.DataTree, **options: Any) -> Check:
        if not isinstance(model, UnitByUnit):
            return check(model, tree, **options)
        units = model.one_by_one(tree["posterior"].to_dataset())
        trees = (xr.DataTree.from_dict({"posterior": own}) for _, _, own in units)
        return together([(str(u), check(one, own, **options)) for (u, one, _), own in zip(units, trees, strict=True)])

    return asked


def together(found: Sequence[tuple[str, Check]]) -> Check:
    """One check of (unit, check) pairs: it fails where any does, and passes where any passes and none fails."""
    failed = [u for u, c in found if c.passed is False]
    passed = False if failed else True if any(c.passed for _, c in found) else None
    first = found[0][1]
    numbers = {"units": len(found), "failed": len(failed)}
    numbers |= {f"{key} ({u})": value for u, c in found for key, value in c.numbers.items()}
    table = [{"treated": u, **row} for u, c in found for row in c.table]
    order = sorted(found, key=lambda pair: pair[1].passed is not False)
    said = " ".join(f"{u}: {c.text}" for u, c in order[:TOLD])
    more = f" The numbers below hold all {len(found)}." if len(found) > TOLD else ""
    head = f"Each of {len(found)} treated units alone"
    if failed:
        head += f"; {len(failed)} of them {'fails' if len(failed) == 1 else 'fail'} ({', '.join(failed)}). "
    else:
        head += ". " if passed is None else "; none fails. "
    severity = next((c.severity for _, c in found if c.passed is False), first.severity)
    return Check(first.name, passed, severity, head + said + more, numbers, table)
