"""Several series over the same dates that installed packages ship, as tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

MULTI_SERIES = "multi_series"
FIRST = "1961-01-01"  # the first quarter with eight before it


def macro(file: Path) -> dict[str, pa.Table]:
    """The United States by quarter, 1961 to 2009 (FRED and others, from statsmodels; values as revised until 2009, no vintages).

    Log changes from the quarter before, in percent: ``gdp_growth``, ``consumption_growth``, ``investment_growth``,
    ``inflation``. Shocks: ``rate_change``, the change of the 3-month Treasury bill rate in percentage points, which is not
    exogenous: it answers the news of the quarter; ``cpi_surprise``, (CPI − mean of its newest 4 quarters) / mean, and
    ``gdp_surprise``, the same of real GDP over 8 quarters, which their own past foretells. As they stood a quarter before:
    ``unemployment_before``, ``rate_before`` and ``inflation_before``, in percent, and ``recession_before``, 1 where unemployment
    was half a point or more above its lowest of the year before (the rule of Sahm 2019, by quarters).
    """
    import pandas as pd
    import pyarrow as pa

    frame = pd.read_csv(file)
    first_days = 10_000 * frame["year"] + 100 * (3 * frame["quarter"] - 2) + 1
    names = {"gdp_growth": "realgdp", "consumption_growth": "realcons", "investment_growth": "realinv", "inflation": "cpi"}
    growth = {name: 100 * np.log(frame[column]).diff() for name, column in names.items()}
    columns = {
        "quarter": pd.to_datetime(first_days.astype("int64").astype(str), format="%Y%m%d"),
        **growth,
        "rate_change": frame["tbilrate"].diff(),
        "cpi_surprise": frame["cpi"] / frame["cpi"].rolling(4).mean() - 1,
        "gdp_surprise": frame["realgdp"] / frame["realgdp"].rolling(8).mean() - 1,
        "unemployment_before": frame["unemp"].shift(),
        "rate_before": frame["tbilrate"].shift(),
        "inflation_before": growth["inflation"].shift(),
        "recession_before": (frame["unemp"] - frame["unemp"].shift().rolling(4).min() >= 0.5).shift().astype("float64"),
    }
    made = pd.DataFrame(columns)
    return {MULTI_SERIES: pa.Table.from_pandas(made[made["quarter"] >= FIRST], preserve_index=False)}
