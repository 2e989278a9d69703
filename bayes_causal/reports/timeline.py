"""A time axis from whatever labels time has: numbers, dates, or words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ISO = re.compile(r"\d{4}-\d{2}(-\d{2})?([T ].*)?$")


@dataclass(frozen=True, eq=False)
class Timeline:
    """Labels (T,) of time and where they lie on an axis.

    Parameters
    ----------
    labels : (T,) array, in the order of time
    kind : {"number", "date", "word"}
    """

    labels: np.ndarray
    kind: Literal["number", "date", "word"]

    @property
    def x(self) -> np.ndarray:
        """(T,) positions of the labels."""
        return self.place(self.labels)

    def place(self, values: Any) -> np.ndarray:
        """Positions of times; NaN for those that do not exist on this axis."""
        values = np.atleast_1d(np.asarray(values))
        if self.kind == "word":
            index = {str(label): float(k) for k, label in enumerate(self.labels)}
            return np.array([index.get(str(v), np.nan) for v in values])
        if self.kind == "number":
            return values.astype(float)
        days = values.astype("datetime64[s]")
        return np.where(np.isnat(days), np.nan, days.astype("int64") / 86400.0)

    def format(self, axes: Axes) -> None:
        """Give an axis ticks that suit these labels, few enough to read on a phone."""
        from matplotlib import dates, ticker

        axis = axes.xaxis
        if self.kind == "date":
            locator = dates.AutoDateLocator(minticks=3, maxticks=6)
            axis.set_major_locator(locator)
            axis.set_major_formatter(dates.ConciseDateFormatter(locator))
        elif self.kind == "number":
            whole = bool(np.all(self.x == np.round(self.x)))
            axis.set_major_locator(ticker.MaxNLocator(6, integer=whole, steps=[1, 2, 5, 10] if whole else None))
            axis.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:g}".replace("-", "−")))
        else:
            step = -(-self.labels.size // 6)
            shown = range(0, self.labels.size, step)
            axes.set_xticks(list(shown), [str(self.labels[k])[:12] for k in shown])

    @property
    def ends(self) -> tuple[str, str]:
        """First and last label as text, dates without the time of day."""
        return self.word(self.labels[0]), self.word(self.labels[-1])

    def word(self, label: Any) -> str:
        """A label as text; dates without the time of day."""
        return str(label)[:10] if self.kind == "date" else str(label)


def timeline(labels: Any) -> Timeline:
    """Read labels as numbers or dates where all of them are, else as words in the order given."""
    labels = np.asarray(labels)
    if labels.dtype.kind in "iuf":
        return Timeline(labels, "number")
    if labels.dtype.kind == "M":
        return Timeline(labels, "date")
    words = np.array([str(v) for v in labels])
    if words.size and all(_ISO.match(w) for w in words):
        return Timeline(words.astype("datetime64[s]"), "date")
    return Timeline(words, "word")
