"""Gates that every series passes before anything is made of it: what they found is said, and nothing is repaired.

A gate that fails at severity ``refuse`` keeps a series out until it is left out on purpose; one that fails at ``warn`` is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayes_causal.data.macro.periods import MONTHS, ends, floor
from bayes_causal.data.macro.silver import oldest
from bayes_causal.data.macro.source import PERIOD, PUBLISHED, VALUE, Series

if TYPE_CHECKING:
    import pandas as pd

FEWEST = {"D": 36, "M": 36, "Q": 12, "A": 5}
MOST_GAPS = 0.1  # of the periods between the first and the last
JUMP = 12.0  # robust standard deviations of a change
BREAK = {"rate": 50.0}  # factor between levels that no economy moves by: rates near zero do by ten, as in 2008 and 2020
AROUND = 6  # periods on either side of a break
STANDING = 12  # identical values in a row
FORETOLD = 0.5  # correlation of a shock with the month before
WORKING = "Working 1960, doi:10.2307/1907574"

Severity = Literal["refuse", "warn"]


@dataclass(frozen=True)
class Gate:
    """What a gate found in a series.

    Parameters
    ----------
    series, name : str
        The series, and the gate: repeats, few, sign, gaps, stale, units, jumps.
    passed : bool
    severity : {"refuse", "warn"}
        Of a failure.
    text : str
        What was found, with counts and first dates.
    count : int
        Periods concerned.
    """

    series: str
    name: str
    passed: bool
    severity: Severity
    text: str
    count: int = 0


def gates(frame: pd.DataFrame, series: Series, start: np.datetime64, end: np.datetime64) -> list[Gate]:
    """Every gate of a series between two days, over the latest version of each period.

    Parameters
    ----------
    frame : table
        Of `published`.
    """
    latest = frame.groupby(PERIOD, sort=True)[VALUE].last()
    latest = latest[(latest.index >= floor(start, series.frequency)) & (latest.index <= end)]
    period, value = latest.index.to_numpy(), latest.to_numpy()
    found = [_few(value, series)]
    if found[0].passed:
        found += [_sign(period, value, series), _gaps(period, series), _stale(period, value, series, end)]
        found += _breaks(period, value, series)
    return found


def repeats(observations: pd.DataFrame, series: Series) -> Gate:
    """Whether some period (a day, of daily series) stands twice in one version; which of the two is meant nobody can say.

    Parameters
    ----------
    observations : table
        Before `published`.
    """
    period = observations[PERIOD].to_numpy()
    period = period if series.frequency == "D" else floor(period, series.frequency)
    twice = observations.assign(**{PERIOD: period}).duplicated([PERIOD, PUBLISHED]).to_numpy()
    text = f"{_periods(period, twice)} stand more than once: is '{series.frequency}' the frequency of the source?"
    return Gate(series.name, "repeats", not twice.any(), "refuse", text if twice.any() else "every period once", int(twice.sum()))


def _few(value: np.ndarray, series: Series) -> Gate:
    fewest = FEWEST[series.frequency]
    text = f"{len(value):,} periods with a value; at least {fewest} are needed"
    return Gate(series.name, "few", len(value) >= fewest, "refuse", text, len(value))


def _sign(period: np.ndarray, value: np.ndarray, series: Series) -> Gate:
    wrong = (value <= 0) & (series.form in ("price", "level"))
    wrong |= (value <= -100) & (series.form == "return") | ~np.isfinite(value)
    must = {"price": "positive", "level": "positive", "return": "above -100 percent"}.get(series.form, "finite")
    text = f"{_periods(period, wrong)} not {must}, which a {series.form} is" if wrong.any() else "signs as they must be"
    return Gate(series.name, "sign", not wrong.any(), "refuse", text, int(wrong.sum()))


def _gaps(period: np.ndarray, series: Series) -> Gate:
    steps = np.diff(period.astype("datetime64[M]").astype(np.int64)) // MONTHS[series.frequency]
    missing = int((steps - 1).sum())
    share = missing / (len(period) + missing)
    text = (
        f"{_periods(period[:-1], steps > 1)} followed by a gap; {missing:,} periods missing" if missing else "no period missing"
    )
    return Gate(series.name, "gaps", not missing, "refuse" if share > MOST_GAPS else "warn", text, missing)


def _stale(period: np.ndarray, value: np.ndarray, series: Series, end: np.datetime64) -> Gate:
    age = int((end - ends(period[-1:], series.frequency)[0]) / np.timedelta64(1, "D"))
    old = age > oldest(series)
    run, at = _standing(value)
    still = run >= STANDING and series.form != "surprise" and series.frequency != "A"
    texts = [f"ends {age:,} days before the end asked for ({_day(period[-1])})"] if old else []
    texts += [f"the same value ({value[at]:g}) for {run} periods from {_day(period[at])}"] if still else []
    return Gate(series.name, "stale", not texts, "warn", "; ".join(texts) or "up to date and moving", run if still else int(old))


def _standing(value: np.ndarray) -> tuple[int, int]:
    """The longest run of identical values, and where it begins."""
    starts = np.flatnonzero(np.r_[True, value[1:] != value[:-1]])
    lengths = np.diff(np.r_[starts, len(value)])
    longest = int(lengths.argmax())
    return int(lengths[longest]), int(starts[longest])


def _breaks(period: np.ndarray, value: np.ndarray, series: Series) -> Iterator[Gate]:
    """Changes far outside what is usual: lasting ones by a large factor are changes of units, the others jumps."""
    factor = BREAK.get(series.form, 8.0)
    if series.form in ("return", "surprise"):
        steps = value - np.median(value)
        units = np.zeros(len(value), bool)
    else:
        logs = series.form != "rate" and bool((value > 0).all())
        steps = np.r_[0.0, np.diff(np.log(value) if logs else value)]
        units = _other_units(value, factor) & (logs | (np.abs(steps) > JUMP * _scale(steps)))
    jumps = (np.abs(steps) > JUMP * _scale(steps)) & ~units
    text = f"{_periods(period, units)} at another level for good, by a factor of {factor:g} or more: were the units changed?"
    yield Gate(series.name, "units", not units.any(), "refuse", text if units.any() else "one scale throughout", int(units.sum()))
    text = f"{_periods(period, jumps)} changed by more than {JUMP:g} robust standard deviations"
    yield Gate(series.name, "jumps", not jumps.any(), "warn", text if jumps.any() else "no change out of scale", int(jumps.sum()))


def _scale(steps: np.ndarray) -> float:
    """Standard deviation of most of the steps: of their median absolute deviation; infinite where most are the same."""
    deviation = float(np.median(np.abs(steps - np.median(steps))))
    return 1.4826 * deviation if deviation > 0 else np.inf


def _other_units(value: np.ndarray, factor: float) -> np.ndarray:
    """(T,) whether a value and the ones after it are a factor away from the value and the ones before."""
    size, found = np.abs(value), np.zeros(len(value), bool)
    for t in range(1, len(value)):
        pairs = ((size[t - 1], size[t]), (np.median(size[max(0, t - AROUND) : t]), np.median(size[t : t + AROUND])))
        found[t] = all(max(pair) >= factor * min(pair) > 0 for pair in pairs)
    return found


def _periods(period: np.ndarray, which: np.ndarray, shown: int = 3) -> str:
    at = period[which]
    days = ", ".join(_day(day) for day in at[:shown])
    return f"{len(at):,} {'period' if len(at) == 1 else 'periods'} ({days}{', …' if len(at) > shown else ''})"


def _day(day: np.datetime64) -> str:
    return str(day.astype("datetime64[D]"))


def report(months: np.ndarray, found: Sequence[Gate], columns: pd.DataFrame, notes: Sequence[str]) -> str:
    """The data quality report: what was built, what did not pass, and what to keep in mind of shocks and returns."""
    made = ", ".join(f"{n} {role}s" for role, n in columns.groupby("role", sort=False).size().items())
    lines = [f"{len(months):,} months, {_day(months[0])[:7]} to {_day(months[-1])[:7]}: {made}.", "", told(found)]
    foretold = columns[(columns["role"] == "shock") & (columns["autocorrelation"].abs() > FORETOLD)]
    if len(foretold):
        lines += ["", "Shocks that their own past foretells, and that are hardly news (correlation with the month before):"]
        lines += [f"  {c.name}: {c.autocorrelation:.2f}" for c in foretold.itertuples()]
    averaged = columns[(columns["role"] == "outcome") & columns["formula"].str.contains("mean of the days")]
    if len(averaged):
        lines += ["", f"Changes of averages of days, which correlate with the month before by themselves ({WORKING}):"]
        lines += [f"  {c.name}: {c.autocorrelation:.2f}" for c in averaged.itertuples()]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def told(found: Sequence[Gate]) -> str:
    """What did not pass, a line each; and how many did."""
    failed = [g for g in found if not g.passed]
    names = {g.series for g in found}
    clean = len(names - {g.series for g in failed})
    lines = [f"{clean} of {len(names)} series passed every gate."]
    return "\n".join([*lines, *(f"  {g.severity}: {g.series}, {g.name}: {g.text}" for g in failed)])
