"""The posterior of synthetic control beside what is published of California's tobacco programme (Proposition 99).

Published weights and effects of Abadie, Diamond and Hainmueller (2010, table 2, doi:10.1198/jasa.2009.ap08746) match predictors
beside outcomes; the posterior, like the quadratic programme of `sc_prop99_synthdid.yaml`, is of outcomes alone. So neither has to
reproduce the other digit for digit: the donors that carry the weight are compared, by rank.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import bayes_causal as bc
from bayes_causal.data.load import load_panel
from bayes_causal.inference.blocked_gibbs import BlockedGibbs

KEYS = {"unit": "State", "time": "Year", "outcome": "PacksPerCapita", "treatment": "treated"}
PUBLISHED = {"Utah": 0.334, "Nevada": 0.234, "Montana": 0.199, "Colorado": 0.164, "Connecticut": 0.069}
SDID, SC = -15.60382787, -19.51363  # R's synthdid; R's quadprog on outcomes
PERIODS = (0.42708, 0.36647, 0.20645)  # R's synthdid: 1988, 1986, 1987
ENGINE = BlockedGibbs(draws=500, warmup=500, progress=False)


@pytest.fixture(scope="module")
def panel(reference_data: Path) -> bc.Panel:
    return load_panel({"source": "sc_prop99_synthdid/data.csv"} | KEYS, reference_data)[0]


def test_the_interval_of_the_effect_holds_the_published_ones(panel: bc.Panel) -> None:
    """At its defaults; and not so wide that it says nothing: plain difference-in-differences, −27.3, lies outside."""
    model = bc.SyntheticControl(panel)
    att = bc.estimate(model, bc.fit(model, ENGINE, seed=1), "att", level=0.9)
    assert float(att.lower) < SC < SDID < float(att.upper) < 0
    assert float(att.upper) - float(att.lower) < 25


def test_synthetic_did_holds_its_published_effect_and_weighs_the_published_periods(panel: bc.Panel) -> None:
    """R's synthdid has weights .43, .37 and .21 in 1988, 1986 and 1987, none before; ours are averages over all that fit as well.

    Of the posterior the same three years carry nearly all, in the same order, and the interval of each holds R's weight.
    """
    model = bc.SyntheticDiD(panel)
    tree = bc.fit(model, ENGINE, seed=1)
    att = bc.estimate(model, tree, "att", level=0.9)
    assert float(att.lower) < SDID < float(att.upper) < 0
    assert float(att.upper) - float(att.lower) < 25
    draws = tree["posterior"]["time_weight"]
    weight = draws.mean(("chain", "draw")).to_series().sort_values(ascending=False)
    assert list(weight.index[:3]) == [1988, 1986, 1987] and weight[:3].sum() > 0.8
    low, high = draws.quantile([0.05, 0.95], ("chain", "draw")).sel(period=[1988, 1986, 1987]).values
    assert (low <= PERIODS).all() and (high >= PERIODS).all()


def test_the_weights_of_the_main_donors_agree_in_rank(panel: bc.Panel) -> None:
    """Without an intercept and with independent errors, as the classic method is: it is the posterior of the same problem.

    The three heaviest published donors are the three heaviest of the posterior, in the same order, and Colorado, fourth in print,
    is one of three that tie for the next place (.06, .05, .05, Monte Carlo errors of .008). Of the quadratic programme they share
    the three heaviest, Utah first, and its second and third lie 0.03 apart. Connecticut, fourth there and fifth in print, comes
    seventh: the posterior mean is averaged over all weights that fit about as well, and its 98 % interval holds the programme's.
    """
    model = bc.SyntheticControl(panel, intercept=False, errors="iid")
    tree = bc.fit(model, BlockedGibbs(draws=3000, warmup=1000, progress=False), seed=1)
    found = tree["posterior"]["weight"].mean(("chain", "draw")).to_series().sort_values(ascending=False)
    assert list(found.index[:3]) == list(PUBLISHED)[:3]
    assert set(PUBLISHED) <= set(found.index[:8]) and "Colorado" in found.index[3:6]
    best = pd.Series(bc.baselines.sc_classic(panel, inference="none").extra["weights"]).sort_values(ascending=False)
    assert list(best.index[:4]) == ["Utah", "Montana", "Nevada", "Connecticut"]
    assert set(found.index[:3]) == set(best.index[:3]) and found.index[0] == best.index[0]
    assert found[list(best.index[:6])].sum() > 0.8
    low, high = tree["posterior"]["weight"].quantile([0.01, 0.99], ("chain", "draw")).sel(donor=list(best.index[:5])).values
    assert ((low <= best.values[:5]) & (best.values[:5] <= high)).all()
