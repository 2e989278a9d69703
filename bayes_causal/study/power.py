"""Planning a test: what effects a study would find, by how long it runs and, in a panel, in which market; before or after it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_causal.data.kinds import KINDS
from bayes_causal.errors import BayesCausalError, StudyError
from bayes_causal.reports.numbers import decimals, level, number
from bayes_causal.reports.tables import WIDTH, aligned
from bayes_causal.study import market_plan
from bayes_causal.study.folder import claim, whole
from bayes_causal.study.read import load_yaml, read_study
from bayes_causal.study.run import model_of

if TYPE_CHECKING:
    import xarray as xr

    from bayes_causal.study.schema import Study

PLANNED, NOBODY = "data.intervention=last", "data.exposures=last"
WHEN = ("data.intervention", "data.post")
WHO = ("data.treatment", "data.arms", "data.cohort", "data.exposures", "data.layout")


def run_power(
    path: str | Path,
    *,
    durations: Sequence[int] | None = None,
    effects: Sequence[float] | None = None,
    power: float = 0.8,
    markets: Sequence[str] | None = None,
    out: str | Path | None = None,
    overrides: Iterable[str] = (),
) -> tuple[xr.Dataset, str]:
    """The power of a study's design, as `bayes_causal.power` or `bayes_causal.market_power` gives it, and the same in words.

    A study that does not say when its intervention was, or who is treated, is one that is being planned: all its dates but the
    last are the time before.

    Parameters
    ----------
    markets : sequence of str, optional
        Of a study of synthetic control: the candidates.
    out : path, optional
        A new folder for ``power.csv`` and ``power.png``; with markets, for ``markets.csv`` and ``markets.png`` too.

    Raises
    ------
    StudyError, DataError, RunFolderError
        The study, its data or the settings were refused; nothing was written.
    """
    study = _resolved(Path(path), list(overrides))
    by_market = KINDS[study.data.kind].attribute != "series"
    if markets is not None and not by_market:
        raise StudyError(f"markets are units of a panel, and data.kind is {study.data.kind}: leave them out")
    if out is not None:
        claim(Path(out), force=False)
    asked: dict[str, Any] = {"durations": durations, "effects": effects, "power": power, "level": study.level}
    try:
        if by_market:
            found = market_plan.placed(study, markets, asked)
        else:
            from bayes_causal.checks import power as placing

            found = placing.power(model_of(study), **asked, seed=study.engine.seed)
    except ValueError as error:
        if isinstance(error, BayesCausalError):
            raise
        raise StudyError(str(error)) from error
    if out is not None:
        (market_plan.write if by_market else _write)(found, Path(out))
    return found, (market_plan.told if by_market else told)(study.name, found, effects is not None)


def _resolved(path: Path, overrides: list[str]) -> Study:
    """The study, planned where nothing says when its intervention was, or who is treated."""
    data = load_yaml(path).get("data")
    panel = not isinstance(data, dict) or data.get("kind", "panel") == "panel"
    when, planned = (WHO, NOBODY) if panel else (WHEN, PLANNED)
    said = isinstance(data, dict) and any(data.get(key.partition(".")[2]) is not None for key in when)
    example = isinstance(data, dict) and str(data.get("source", "")).startswith("example:")
    set_here = any(text.partition("=")[0].strip() in when for text in overrides)
    study = read_study(path, overrides if said or set_here or example else [*overrides, planned])
    if KINDS[study.data.kind].attribute != "series" and study.model.name != "synthetic_control":
        raise StudyError(
            "power is placed in the time before of a series, or of the markets of synthetic_control; data.kind is "
            f"{study.data.kind} and model.name {study.model.name}: the check mde has other panels"
        )
    return study


def told(name: str, found: xr.Dataset, asked: bool) -> str:
    """The table and what it says, for a terminal; with what was `asked`, the sizes too."""
    attrs, step = found.attrs, found.attrs["step"]
    head = ["length", "windows", "side by side", "false alarms", f"found {level(attrs['power'])}", "± error", "in sds"]
    body = []
    for k in range(found.sizes["duration"]):
        row = {v: found[v].values[k] for v in found.data_vars if found[v].dims == ("duration",)}
        error = row["mde_error"] if np.isfinite(row["mde_error"]) else None
        places = decimals(error, row["mde"])
        counts = [f"{found['duration'].values[k]}", f"{row['windows']}", f"{row['side_by_side']}", f"{row['false_alarms']:.0%}"]
        body.append([*counts, number(row["mde"], places), number(error, places), number(row["mde_in_sd"], 2)])
    lines = [f"{name}: effects on {attrs['unit']} that would be found, from {attrs['dates']:,} dates before (one a {step})", ""]
    lines += [*aligned(head, body), ""]
    if asked:
        lines += [*_by_size(found), ""]
    said = (
        f"“Found” is a {level(attrs['level'])} interval of the average effect on the effect's own side of zero, for an effect "
        f"that is the same at every date. It was placed in windows of the time before; {1 - attrs['level']:.0%} false alarms "
        "would be by design. Windows overlap: the errors are those of stretches as long as the test. Early windows have less to "
        "learn from than the test will have."
    )
    if attrs["not_proved"]:
        said += f" Importance sampling does not prove {attrs['not_proved']} of the fits."
    return "\n".join([*lines, *textwrap.wrap(said, WIDTH)]) + "\n"


def as_json(found: xr.Dataset) -> str:
    """Every number with its dims, labels and attributes; what is not a number is null."""
    said = found.to_dict()
    tables = {
        name: {k: _plain(v) for k, v in said[name].items()} if name == "attrs" else _named(said[name])
        for name in ("attrs", "coords", "data_vars")
    }
    return json.dumps(tables, ensure_ascii=False, allow_nan=False)


def _named(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"dims": list(a["dims"]), "data": _plain(a["data"])} for name, a in arrays.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _by_size(found: xr.Dataset) -> list[str]:
    """Power of every size asked for, a row each, and the shortest length that has it."""
    head = ["effect", *(f"{h} {found.attrs['step']}s" for h in found["duration"].values), "shortest length"]
    body = []
    for j, size in enumerate(found["effect"].values):
        needed = found["duration_needed"].values[j]
        body.append(
            [
                f"{size:g}",
                *(f"{p:.0%}" for p in found["power"].values[:, j]),
                "none of these" if np.isnan(needed) else f"{needed:g}",
            ]
        )
    return aligned(head, body)


def _write(found: xr.Dataset, out: Path) -> None:
    from bayes_causal.reports import style
    from bayes_causal.reports.figures.power import of_power, picture

    with whole(out, force=False) as folder:
        found.to_dataframe().to_csv(folder / "power.csv")
        (folder / "power.png").write_bytes(style.png(picture(of_power(found))))
