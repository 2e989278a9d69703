"""The series that are built by default, and the columns of public wide files that are known by their names."""

from __future__ import annotations

from dataclasses import replace

from bayes_causal.data.macro.source import Series

_MEAN_OF_DAYS = "mean of the days of a month, by the file"
_REVISED = "values as revised until the file was made: no vintages"

ONLINE: tuple[Series, ...] = (
    Series("gdp", "fred", "GDPC1", "billions of chained dollars", "level", "Q", lag=30, vintages=True),
    Series("cpi", "fred", "CPIAUCSL", "index", "level", "M", lag=15, vintages=True),
    Series("unemployment", "fred", "UNRATE", "percent", "rate", "M", lag=7, vintages=True),
    Series("payrolls", "fred", "PAYEMS", "thousands of persons", "level", "M", lag=7, vintages=True),
    Series("policy_rate", "fred", "DFF", "percent", "rate", "D", "mean", lag=1),
    Series("yield_2y", "fred", "DGS2", "percent", "rate", "D", "mean", lag=1),
    Series("yield_10y", "fred", "DGS10", "percent", "rate", "D", "mean", lag=1),
    Series("oil", "fred", "DCOILWTICO", "dollars per barrel", "price", "D", "mean", lag=7),
    Series("usd_eur", "fred", "DEXUSEU", "dollars per euro", "level", "D", "mean", lag=7),
    Series("usd_cny", "fred", "DEXCHUS", "yuan per dollar", "level", "D", "mean", lag=7),
    Series("sp500", "yahoo", "^GSPC", "index", "price", "D", "last", about="without dividends"),
    Series("long_bonds", "yahoo", "TLT", "dollars", "price", "D", "last", about="with dividends"),
    Series("gold", "yahoo", "GLD", "dollars", "price", "D", "last"),
    Series("oil_fund", "yahoo", "USO", "dollars", "price", "D", "last"),
    Series("vix", "yahoo", "^VIX", "percent a year", "level", "D", "mean"),
    Series("wb_growth", "world_bank", "USA/NY.GDP.MKTP.KD.ZG", "percent", "rate", "A", lag=200),
    Series("wb_inflation", "world_bank", "USA/FP.CPI.TOTL.ZG", "percent", "rate", "A", lag=200),
    Series("wb_real_rate", "world_bank", "USA/FR.INR.RINR", "percent", "rate", "A", lag=200),
    Series("wb_trade", "world_bank", "USA/NE.TRD.GNFS.ZS", "percent of GDP", "rate", "A", lag=200),
)

# of FRED-MD and FRED-QD (McCracken and Ng), and of files that extend them with gold, oil, the VIX and the monetary surprises of
# Jarociński and Karadi (doi:10.1257/mac.20180090). Market rates and prices are averages of days that anybody could take
_COLUMNS = (
    Series("cpi", "file", "CPIAUCSL", "index", "level", lag=15, about=_REVISED),
    Series("unemployment", "file", "UNRATE", "percent", "rate", lag=7, about=_REVISED),
    Series("payrolls", "file", "PAYEMS", "thousands of persons", "level", lag=7, about=_REVISED),
    Series("industrial_production", "file", "INDPRO", "index", "level", lag=17, about=_REVISED),
    Series("gdp", "file", "GDPC1", "billions of chained dollars", "level", "Q", lag=30, about=_REVISED),
    Series("policy_rate", "file", "FEDFUNDS", "percent", "rate", about=_MEAN_OF_DAYS),
    Series("yield_1y", "file", "GS1", "percent", "rate", about=_MEAN_OF_DAYS),
    Series("yield_2y", "file", "GS2", "percent", "rate", about=_MEAN_OF_DAYS),
    Series("yield_10y", "file", "GS10", "percent", "rate", about=_MEAN_OF_DAYS),
    Series("oil", "file", "OILPRICEx", "dollars per barrel", "price", about=_MEAN_OF_DAYS),
    Series("usd_eur", "file", "EXUSEU", "dollars per euro", "level", about=_MEAN_OF_DAYS),
    Series("usd_cny", "file", "EXCHUS", "yuan per dollar", "level", about=_MEAN_OF_DAYS),
    Series("sp500", "file", "SP500", "index", "price", about=f"{_MEAN_OF_DAYS}; without dividends"),
    Series("gold", "file", "gold_usd", "dollars per ounce", "price", about=_MEAN_OF_DAYS),
    Series("long_bonds", "file", "bond10y_tr_proxy_pct", "percent a month", "return", about="return of a 10-year par bond"),
    Series("vix", "file", "vix_avg", "percent a year", "level", about=_MEAN_OF_DAYS),
    Series(
        "monetary_surprise", "file", "MP_median", "percentage points", "surprise", about="monetary policy shock, median rotation"
    ),
    Series("information_surprise", "file", "CBI_median", "percentage points", "surprise", about="central bank information shock"),
)
COLUMNS: dict[str, Series] = {series.code: series for series in _COLUMNS}


def of_quarters(series: Series) -> Series:
    """A column of a file that is quarterly throughout."""
    return replace(series, frequency="Q")
