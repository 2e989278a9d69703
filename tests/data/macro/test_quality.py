"""Every gate finds the fault it is for, and lets clean series pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.macro.quality import gates, told
from bayes_causal.data.macro.silver import published
from bayes_causal.data.macro.source import Form, Series, typed

MONTHS = np.arange("2000-01", "2010-01", dtype="datetime64[M]").astype("datetime64[ns]")
END = np.datetime64("2009-12-31")


def found(values: np.ndarray, form: Form = "level", keep: np.ndarray | None = None) -> dict[str, tuple[bool, str, str]]:
    series = Series("x", "file", "x", "index", form, "M", lag=10)
    at = slice(None) if keep is None else keep
    frame = published(typed(MONTHS[: len(values)][at], [None] * len(values[at]), values[at]), series)
    return {g.name: (g.passed, g.severity, g.text) for g in gates(frame, series, MONTHS[0], END)}


@pytest.fixture
def level(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(100 * np.exp(0.01 * rng.standard_normal(120).cumsum()))


@pytest.fixture
def rate(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(5 + 0.05 * rng.standard_normal(120).cumsum())


def test_clean_series_pass(level: np.ndarray, rate: np.ndarray, rng: np.random.Generator) -> None:
    surprises = np.where(rng.random(120) < 0.5, 0.0, rng.normal(0, 0.1, 120))
    for values, form in ((level, "level"), (level, "price"), (rate, "rate"), (surprises, "surprise"), (rate - 5, "return")):
        assert all(passed for passed, _, _ in found(values, form).values()), form  # type: ignore[arg-type]


FAULTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str, str, str]] = {
    "units in thousands": (
        lambda x: np.r_[x[:60], 1000 * x[60:]],
        "units",
        "refuse",
        "1 period .2005-01-01. at another level for good",
    ),
    "units to fractions": (lambda x: np.r_[x[:60], x[60:] / 100], "units", "refuse", "were the units changed"),
    "one outlier": (lambda x: np.r_[x[:60], 3 * x[60], x[61:]], "jumps", "warn", "2 periods .2005-01-01, 2005-02-01. changed"),
    "one outlier in thousands": (lambda x: np.r_[x[:60], 1000 * x[60], x[61:]], "jumps", "warn", "2 periods"),
    "standing still": (
        lambda x: np.r_[x[:60], np.full(12, x[60]), x[72:]],
        "stale",
        "warn",
        "the same value .* for 12 periods from 2005-01",
    ),
    "ending early": (lambda x: x[:100], "stale", "warn", "ends 610 days before the end asked for .2008-04-01"),
    "few": (lambda x: x[:35], "few", "refuse", "35 periods with a value; at least 36"),
    "infinite": (lambda x: np.r_[x[:60], np.inf, x[61:]], "sign", "refuse", "1 period .2005-01-01. not positive"),
    "zero": (lambda x: np.r_[x[:60], 0.0, x[61:]], "sign", "refuse", "1 period .2005-01-01. not positive, which a level is"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails_its_gate(fault: str, level: np.ndarray) -> None:
    plant, gate, severity, text = FAULTS[fault]
    import re

    passed, how, said = found(plant(level))[gate]
    assert not passed and how == severity and re.search(text, said), said


@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_a_rate_in_another_unit_is_found(factor: float, rate: np.ndarray) -> None:
    passed, severity, _ = found(np.r_[rate[:60], factor * rate[60:]], "rate")["units"]
    assert not passed and severity == "refuse"


def test_a_rate_near_zero_may_move_by_factors(rate: np.ndarray) -> None:
    """Bill rates went from 0.01 to 0.10 percent in 2011 to 2014, and the funds rate from 0.65 to 0.05 in April 2020."""
    low = np.r_[rate[:60] - rate[59], np.full(3, 0.01), 0.1 + 0.01 * np.sin(np.arange(57))]
    assert found(np.abs(low) + 0.01, "rate")["units"][0]
    fallen = np.r_[1.5 + 0.01 * np.sin(np.arange(58)), 0.65, 0.05 + 0.001 * np.sin(np.arange(61))]
    assert found(fallen, "rate")["units"][0] and not found(fallen, "rate")["jumps"][0]


@pytest.mark.parametrize(("missing", "severity"), [([50], "warn"), (list(range(50, 70)), "refuse")])
def test_gaps_are_told_and_large_ones_refused(missing: list[int], severity: str, level: np.ndarray) -> None:
    keep = np.setdiff1d(np.arange(120), missing)
    passed, how, text = found(level, keep=keep)["gaps"]
    assert not passed and how == severity and f"{len(missing)} periods missing" in text and "2004-02-01" in text


def test_only_the_months_asked_for_are_looked_at(level: np.ndarray) -> None:
    series = Series("x", "file", "x", "index", "level", "M")
    frame = published(typed(MONTHS, [None] * 120, np.r_[1000 * level[:10], level[10:]]), series)
    assert all(g.passed for g in gates(frame, series, MONTHS[20], END))
    assert not all(g.passed for g in gates(frame, series, MONTHS[0], END))


def test_the_newest_version_of_a_value_is_looked_at(level: np.ndarray) -> None:
    """A first version in other units that was corrected later is none any more."""
    series = Series("x", "fred", "x", "index", "level", "M", lag=10, vintages=True)
    late = typed([MONTHS[60]], [pd.Timestamp("2009-06-01")], [level[60]])
    first = typed(MONTHS, [m + np.timedelta64(40, "D") for m in MONTHS], np.r_[level[:60], 1000 * level[60], level[61:]])
    both = published(pd.concat([first, late], ignore_index=True), series)
    assert all(g.passed for g in gates(both, series, MONTHS[0], END))


def test_what_did_not_pass_is_told(level: np.ndarray) -> None:
    series = Series("x", "file", "x", "index", "level", "M", lag=10)
    frame = published(typed(MONTHS[:30], [None] * 30, level[:30]), series)
    assert told(gates(frame, series, MONTHS[0], END)).splitlines() == [
        "0 of 1 series passed every gate.",
        "  refuse: x, few: 30 periods with a value; at least 36 are needed",
    ]
