"""Check: one reason to believe a result or not to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Parameters
    ----------
    name : str
    passed : bool or None
        None is information: nothing to pass or fail.
    severity : {"info", "warning", "blocking"}
        What a failure means. A failed blocking check takes the verdict's place.
    text : str
        What was looked at, what was found, and what it means for the reader, in a sentence or three.
    numbers : mapping of str to float
        The numbers behind the text.
    table : sequence of mappings
        Rows, where there is more than a few numbers to show.
    paths : mapping of str to sequence of float
        Lines over the dates of the tree's constant data that a figure draws, by label.
    """

    name: str
    passed: bool | None
    severity: Literal["info", "warning", "blocking"]
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    table: Sequence[Mapping[str, Any]] = ()
    paths: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def blocks(self) -> bool:
        """True where the verdict must not be given."""
        return self.severity == "blocking" and self.passed is False


def answers(draws: xr.DataArray) -> Iterator[tuple[dict[str, Any], xr.DataArray]]:
    """Labels and (chain, draw) draws of every answer to one question: one, or one for each series and shock."""
    own = [str(d) for d in draws.dims if d not in ("chain", "draw")]
    draws = draws.transpose("chain", "draw", *own)
    for place in np.ndindex(*draws.shape[2:]):
        at = dict(zip(own, place, strict=True))
        labels = {d: draws[d].values[k].item() for d, k in at.items()}
        yield labels, draws.isel(at, drop=True)


def said(labels: Mapping[str, Any]) -> str:
    """Labels of an answer in words: of a shock and a series, which moves what."""
    if set(labels) == {"series", "shock"}:
        return f"{labels['shock']} on {labels['series']}"
    return ", ".join(f"{k} {v}" for k, v in labels.items())


def needs_rows(name: str, model: Any, severity: Literal["info", "warning", "blocking"] = "warning") -> Check | None:
    """What a check of single rows or units says to a model that has none in memory; None where it has."""
    from bayes_causal.models.base import rows_missing

    reason = rows_missing(model)
    return Check(name, None, severity, f"Does not apply: {reason}.") if reason else None


def needs_panel(name: str) -> Check:
    """What a check of panels says to a model that has none."""
    return Check(name, None, "info", "Does not apply: the model has no panel.")


def needs_series(name: str) -> Check:
    """What a check of series says to a model that has none."""
    return Check(name, None, "info", "Does not apply: the model has no series that it can be fitted to again.")


def needs_donors(name: str) -> Check:
    """What a check of donors says to a model that weights none."""
    return Check(name, None, "info", "Does not apply: the model weights no donors.")
