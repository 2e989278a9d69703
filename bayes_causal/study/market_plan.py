"""Planning a geo test: which market to test in, and for how long, from a study of synthetic control."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.errors import DataError
from bayes_causal.reports.numbers import decimals, level, number
from bayes_causal.reports.tables import WIDTH, aligned
from bayes_causal.study.folder import whole
from bayes_causal.study.run import data_of

if TYPE_CHECKING:
    import xarray as xr

    from bayes_causal.study.schema import Study

SHOWN = 20  # markets in a table of a terminal
NAMED = 5  # units left out, in a sentence


def placed(study: Study, markets: Sequence[str] | None, asked: Mapping[str, Any]) -> xr.Dataset:
    """`bayes_causal.market_power` of a study's panel, with its model's options and priors.

    Raises
    ------
    DataError, ValueError
        As `market_power` does; DataError too where rows are not held in memory.
    """
    from bayes_causal.checks.market_power import market_power
    from bayes_causal.data.panel import Panel
    from bayes_causal.models.catalogue import MODELS

    panel = data_of(study)
    if not isinstance(panel, Panel):
        raise DataError("synthetic control needs the rows of a Panel in memory: set in_memory: true, or select units")
    options = dict(study.model.options) | {"priors": MODELS[study.model.name].priors_class()(**study.model.priors)}
    return market_power(panel, markets, **asked, seed=study.engine.seed, options=options)


def told(name: str, found: xr.Dataset, asked: bool) -> str:
    """The table and what it says, for a terminal; with what was `asked`, the sizes too."""
    attrs, steps = found.attrs, [int(h) for h in found["duration"].values]
    head = [
        *("rank", "market", "share", *(f"{h} {attrs['step']}s" for h in steps)),
        *("± error", "false alarms", "interval", "bias", "windows"),
    ]
    body = [_row(found.isel(market=m)) for m in range(min(found.sizes["market"], SHOWN))]
    what = "lifts of" if attrs["scale"] == "relative" else "effects on"
    lines = [
        f"{name}: smallest {what} {attrs['unit']} found with {level(attrs['power'])} probability, by market and length",
        f"(synthetic control, {attrs['periods']:,} periods before; {attrs['fits']:,} fits; the last columns are for "
        f"{steps[-1]} {attrs['step']}s)",
        "",
        *aligned(head, body),
    ]
    if (more := found.sizes["market"] - SHOWN) > 0:
        lines.append(f"and {more} more, which --out writes")
    if asked:
        lines += ["", *_by_size(found)]
    said = [_best(found), *_warnings(found), *_left_out(attrs["left_out"])]
    said.append(
        f"“Found” is a {level(attrs['level'])} interval of the average effect on the effect's own side of zero. Effects were "
        f"placed in windows of the time before, where {1 - attrs['level']:.0%} false alarms would be by design; bias is the mean "
        "estimate where nothing was done. Windows overlap: errors are those of stretches as long as the test. Early windows have "
        "less to learn from than the test will have."
    )
    return "\n".join([*lines, "", *(line for text in said for line in textwrap.wrap(text, WIDTH))]) + "\n"


def _size(found: xr.Dataset, value: float, error: float | None = None, *, signed: bool = False) -> str:
    """A size of an effect: in per cent where effects are relative, else in units of the outcome."""
    if found.attrs["scale"] != "relative":
        return number(value, decimals(error, value), signed=signed)
    return f"{number(100 * value, 1, signed=signed)}%"


def _row(of: xr.Dataset) -> list[str]:
    """One market."""
    last, marked = of.isel(duration=-1), "!" if bool(of["alarms_too_often"]) else ""
    error = float(last["mde_error"])
    return [
        f"{int(of['rank'])}{marked}",
        str(of["market"].values),
        f"{float(of['share']):.1%}",
        *(_size(of, float(v), error) for v in of["mde"].values),
        _size(of, error) if np.isfinite(error) else "–",
        f"{float(last['false_alarms']):.0%}",
        _size(of, float(last["width"]), error),
        _size(of, float(last["bias"]), error, signed=True),
        f"{int(last['windows'])} ({int(last['side_by_side'])} apart)",
    ]


def _best(found: xr.Dataset) -> str:
    """The first market in a sentence, and how many come close."""
    first, step = found.isel(market=0), found.attrs["step"]
    h = int(found["duration"].values[-1])
    size = _size(found, float(first["mde"][-1]), float(first["mde_error"][-1]))
    what = "a lift or drop" if found.attrs["scale"] == "relative" else f"an effect on {found.attrs['unit']}"
    near = int((found["mde"][1:, -1] <= first["mde"][-1] + 2 * first["mde_error"][-1]).sum())
    others = f" {near} other{'s' if near != 1 else ''} cannot be told from it at that length." if near else ""
    return (
        f"{first['market'].values} finds the least: {what} of {size} over {h} {step}s would be found with "
        f"{level(found.attrs['power'])} probability.{others} A small market is cheap to treat and a large one moves more: "
        "share is what each has of the panel's total."
    )


def _warnings(found: xr.Dataset) -> list[str]:
    """Markets whose intervals are too narrow, and fits that do not agree with themselves."""
    often = [str(m) for m in found["market"].values[found["alarms_too_often"].values]]
    said = []
    if often:
        shown = ", ".join(often[:NAMED]) + (f" and {len(often) - NAMED} more" if len(often) > NAMED else "")
        said.append(
            f"! More false alarms than chance brings, so ranked last: {shown}. Their donors do not follow them as they seem to, "
            "and what would be found there is not to be believed."
        )
    if n := int(found.attrs["not_agreed"]):
        said.append(f"In {n} of {found.attrs['fits']} fits the two halves of the chain disagree: read errors as larger.")
    return said


def _left_out(reasons: Mapping[str, str]) -> list[str]:
    """Units that are no candidates, by reason."""
    named: dict[str, list[str]] = {}
    for unit, why in reasons.items():
        named.setdefault(why, []).append(unit)
    return [
        f"No candidates ({why}): {', '.join(units[:NAMED])}{f' and {len(units) - NAMED} more' if len(units) > NAMED else ''}."
        for why, units in named.items()
    ]


def _by_size(found: xr.Dataset) -> list[str]:
    """Power of every size asked for, a market a row, and the shortest length that has it."""
    sizes = found["effect"].values
    head = ["found, by size and length", *(f"{_size(found, c)}, {h}" for c in sizes for h in found["duration"].values)]
    head += [f"{_size(found, c)} needs" for c in sizes]
    body = []
    for m in range(min(found.sizes["market"], SHOWN)):
        of = found.isel(market=m)
        shares = [f"{p:.0%}" for j in range(sizes.size) for p in of["power"].values[:, j]]
        needs = ["more" if np.isnan(v) else f"{v:g}" for v in of["duration_needed"].values]
        body.append([str(of["market"].values), *shares, *needs])
    return aligned(head, body)


def write(found: xr.Dataset, out: Path) -> None:
    """``markets.csv`` by market and duration, ``power.csv`` by size too, and ``markets.png``."""
    from bayes_causal.reports import style
    from bayes_causal.reports.figures.markets import picture

    by_size = [v for v in found.data_vars if "effect" in found[v].dims]
    with whole(out, force=False) as folder:
        found.drop_vars([*by_size, "effect"]).to_dataframe().to_csv(folder / "markets.csv")
        found[[v for v in by_size if "duration" in found[v].dims]].to_dataframe().to_csv(folder / "power.csv")
        (folder / "markets.png").write_bytes(style.png(picture(found)))
