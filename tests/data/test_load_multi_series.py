"""Studies on several series: files, the example and lakes to a MultiSeries, or one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_causal.data.examples import example_table, load_example
from bayes_causal.data.kinds import KINDS, kind_of
from bayes_causal.data.load import load_data
from bayes_causal.data.macro.build import GOLD, build_macro
from bayes_causal.data.multi_series import MultiSeries
from bayes_causal.errors import DataError, StudyError
from bayes_causal.study.read import study_from

KEYS: dict[str, Any] = {
    "source": "months.csv",
    "kind": "multi_series",
    "time": "month",
    "outcomes": ["stocks", "bonds"],
    "shocks": "surprise",
    "controls": ["slope"],
}


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    columns = {name: rng.normal(size=60) for name in ("stocks", "bonds", "surprise", "slope")}
    months = pd.date_range("2000-01-01", periods=60, freq="MS")
    pd.DataFrame({"month": months, **columns}).to_csv(tmp_path / "months.csv", index=False)
    return tmp_path


def test_a_file_becomes_several_series(folder: Path) -> None:
    series, provenance = load_data(KEYS, folder)
    assert isinstance(series, MultiSeries) and kind_of(series) == "multi_series"
    assert (series.series_names, series.shock_names, series.control_names) == (("stocks", "bonds"), ("surprise",), ("slope",))
    assert series.dataset.attrs["frequency"] == "month" and (provenance.rows_read, provenance.rows_kept) == (60, 60)
    later, provenance = load_data(KEYS | {"where": "month >= '2002-01-01'"}, folder)
    assert later.n_dates == 36 and provenance.dropped == {"where: month >= '2002-01-01'": 24}
    np.testing.assert_array_equal(later.outcomes, series.outcomes[24:])


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"outcomes": None}, "add `outcomes:"),
        ({"unit": "household"}, "no key 'unit'"),
        ({"outcomes": ["stock"]}, "'stock' .*did you mean 'stocks'"),
        ({"shocks": ["stocks"]}, "'stocks' is declared as outcome and as shock"),
        ({"source": None}, "needs one of `source`"),
        ({"source": "example:nile"}, "is time_series data, and is asked for as multi_series"),
    ],
)
def test_what_cannot_be_read_is_refused(keys: dict[str, Any], said: str, folder: Path) -> None:
    with pytest.raises(DataError, match=said):
        load_data(KEYS | keys, folder)


def test_a_study_says_everything_that_is_wrong_with_its_declaration() -> None:
    data = {"source": "x.csv", "kind": "multi_series", "time": "a", "shocks": ["a", "b", "b"], "outcome": "y"}
    with pytest.raises(StudyError) as refused:
        study_from({"data": data, "model": {"name": "regime_switching"}})
    found = "\n".join(refused.value.problems)
    assert "column 'a' is declared as shock and as time" in found and "shock 'b' is listed 2 times" in found
    assert "no outcome is named: give `outcomes`" in found and "data.outcome is missing" not in found


def test_a_lake_is_read_through_its_manifest(folder: Path) -> None:
    data = pd.read_csv(folder / "months.csv").rename(columns={"month": "date"})
    (folder / "wide").mkdir()
    data.assign(stocks=100 * np.exp(0.03 * data["stocks"].cumsum()), rate=5 + data["slope"]).to_csv(
        folder / "wide" / "data.csv", index=False
    )
    schema = {
        "time": "date",
        "series": {
            "sp500": {"column": "stocks", "unit": "index", "form": "price"},
            "policy_rate": {"column": "rate", "unit": "percent", "form": "rate"},
        },
    }
    build_macro(str(folder / "lake"), given=[str(folder / "wide")], schema=schema)
    keys = {"source": "lake", "kind": "multi_series", "time": "month", "outcomes": "sp500_return", "shocks": "policy_rate_change"}
    series, provenance = load_data(keys | {"where": "month > '2000-01-01'"}, folder)
    assert series.n_dates == 59 and provenance.rows_read == 60 and len(provenance.sha256) == 64
    plain, of_file = load_data(keys | {"source": f"lake/{GOLD}", "where": "month > '2000-01-01'"}, folder)
    assert "release date" in series.dataset.attrs["known"] and "known" not in plain.dataset.attrs
    assert plain.dataset.equals(series.dataset) and of_file.sha256 == provenance.sha256
    (folder / "lake" / GOLD).write_bytes(b"PAR1")
    with pytest.raises(DataError, match="is not what the last complete build wrote"):
        load_data(keys, folder)


def test_the_example_is_the_published_series(needs: Any) -> None:
    """Of statsmodels' macrodata, in 2009Q3: GDP 12990.341 after 12901.504, bill rate 0.12 after 0.18."""
    needs("statsmodels")
    table = example_table("macro")["multi_series"].to_pandas()
    assert len(table) == 195 and str(table["quarter"].iloc[[0, -1]].dt.date.tolist()) == str(
        [pd.Timestamp("1961-01-01").date(), pd.Timestamp("2009-07-01").date()]
    )
    assert table["gdp_growth"].iloc[-1] == pytest.approx(100 * np.log(12990.341 / 12901.504), rel=1e-12)
    assert table["rate_change"].iloc[-1] == pytest.approx(0.12 - 0.18, abs=1e-12)
    assert table.notna().all(axis=None)
    recessions = table.set_index("quarter")["recession_before"]
    assert (recessions["1975"] == 1).all() and (recessions["2009"] == 1).all() and (recessions["1965":"1969"] == 0).all()
    series = load_example("macro")
    assert series.n_dates == 195 and series.series_names == ("gdp_growth", "consumption_growth", "investment_growth")
    assert series.dataset.attrs["frequency"] == "quarter"
    one, _ = load_data({"source": "example:macro", "kind": "multi_series", "outcomes": "gdp_growth", "controls": []}, ".")
    assert one.series_names == ("gdp_growth",) and one.control_names == ()


def test_a_control_of_the_example_is_known_before_its_quarter(needs: Any) -> None:
    needs("statsmodels")
    table = example_table("macro")["multi_series"].to_pandas()
    np.testing.assert_array_equal(table["inflation_before"].to_numpy()[1:], table["inflation"].to_numpy()[:-1])


def test_the_template_names_the_keys() -> None:
    import yaml

    kind = KINDS["multi_series"]
    assert set(yaml.safe_load(kind.template)) == {"time", "outcomes", "shocks", "controls"}
