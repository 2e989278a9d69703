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
