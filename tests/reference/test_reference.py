"""Published numbers, one YAML file a case, against whatever method they name.

A file holds `case`, `title`, `data` (keys of a study file, the source relative to the reference data) and `expected`, a list of
  quantity   value | std_error | lower | upper | p_value | extra.… (a path into the estimate's `extra`); a path into a table
  method     a baseline, a table (att_gt, bacon_summary, twfe_weights), or a model
  options    of the method; for models also `priors` and `engine` beside it
  as         what options and data are called in the table, where they are long
  data       keys that differ from the case's own, for this entry
  estimand, scale, by
             what is asked; `by` is a dimension, `values` then maps its labels to numbers; without `by` there is one `value`
  at         labels of further dimensions of a table
  level      probability of the interval, 0.9 if left out
  tolerance  largest absolute difference;  source: where the number is from;  slow: true for minutes of sampling
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import xarray as xr
import yaml

from bayes_causal import baselines
from bayes_causal.baselines.catalogue import BASELINES
from bayes_causal.data.load import load_data
from bayes_causal.estimates import Estimand, Estimate

TABLES = {name: getattr(baselines, name) for name in ("att_gt", "bacon_summary", "twfe_weights", "markov_parameters")}
KEYS = {"quantity", "method", "options", "priors", "engine", "data", "estimand", "scale", "by", "at", "value", "values"}
KEYS |= {"tolerance", "source", "slow", "level", "as"}


def cases() -> Iterator[Any]:
    for file in sorted(Path(__file__).parent.glob("*.yaml")):
        case = yaml.safe_load(file.read_text(encoding="utf-8"))
        for entry in case["expected"]:
            for label, number in entry.get("values", {None: entry.get("value")}).items():
                marks = [pytest.mark.slow] if entry.get("slow") else []
                where = f"{entry['by']} {label}" if label is not None else "overall"
                options = entry.get("as") or ",".join(f"{k}={v}" for k, v in (entry.get("options") or {}).items())
                where = " ".join([*(f"{k} {v}" for k, v in entry.get("at", {}).items()), where])
                name = f"{entry['method']}{f'({options})' if options else ''} {entry['quantity']} {where}"
                changed = {} if "as" in entry else entry.get("data") or {}
                name += " with " + ",".join(f"{k} {v}" for k, v in changed.items()) if changed else ""
                yield pytest.param(case, entry, label, number, name, marks=marks, id=f"{case['case']}: {name} = {number}")


@pytest.mark.parametrize(("case", "entry", "label", "published", "name"), cases())
def test_published(
    case: Mapping[str, Any],
    entry: Mapping[str, Any],
    label: Any,
    published: float,
    name: str,
    reference_data: Path,
    record_property: Any,
) -> None:
    assert set(entry) <= KEYS, f"unknown keys {set(entry) - KEYS}"
    assert {"quantity", "method", "tolerance", "source"} <= set(entry)
    ours = _look_up(
        _answer(json.dumps(case["data"] | entry.get("data", {})), json.dumps(dict(entry)), str(reference_data)), entry, label
    )
    distance = abs(ours - published) / entry["tolerance"]
    verdict = "pass" if distance <= 1 else "FAIL"
    record_property("reference", (case["case"], name, f"{published:.6g}", f"{ours:.6g}", f"{distance:.2f}", verdict))
    assert distance <= 1, f"{case['case']}, {name}: {ours} is not {published} ± {entry['tolerance']} ({entry['source']})"


@cache
def _container(data: str, folder: str) -> Any:
    return load_data(json.loads(data), folder)[0]


@cache
def _asked(data: str, asked: str, folder: str) -> Any:
    entry, panel = json.loads(asked), _container(data, folder)
    method, options = entry["method"], entry.get("options") or {}
    if method in TABLES:
        return TABLES[method](panel, **options)
    estimand = Estimand(entry.get("estimand", "att"), entry.get("scale", "mean"), entry.get("by"))
    if method in BASELINES:
        (answer,) = baselines.run(panel, [{method: options}], [estimand])
        return answer
    return _from_model(panel, entry, estimand)


def _answer(data: str, entry: str, folder: str) -> Any:
    """The answer to an entry; entries that ask the same share one."""
    names = ("method", "options", "priors", "engine", "estimand", "scale", "by", "level")
    asked = {k: v for k, v in json.loads(entry).items() if k in names}
    return _asked(data, json.dumps(asked, sort_keys=True), folder)


def _from_model(panel: Any, entry: Mapping[str, Any], estimand: Estimand) -> Estimate:
    from bayes_causal import estimate, fit
    from bayes_causal.inference.catalogue import engine_from
    from bayes_causal.models.catalogue import MODELS

    model = MODELS[entry["method"]].build(panel, entry.get("options") or {}, entry.get("priors") or {})
    settings = {"name": "auto", "seed": 1} | (entry.get("engine") or {})
    engine = engine_from(settings.pop("name"), **{k: v for k, v in settings.items() if k != "seed"})
    return estimate(model, fit(model, engine, seed=settings["seed"]), estimand, level=entry.get("level", 0.9))


def _look_up(answer: Any, entry: Mapping[str, Any], label: Any) -> float:
    """One number of an estimate, a table or a mapping."""
    first, *rest = entry["quantity"].split(".")
    if isinstance(answer, Estimate):
        assert "reason" not in answer.extra, answer.extra["reason"]
        answer = answer.extra if first == "extra" else answer.table
    if isinstance(answer, xr.Dataset):
        place = dict(entry.get("at", {})) | ({entry["by"]: label} if label is not None else {})
        return float(answer[first].sel(place).item()) if first in answer else float(answer.attrs[first])
    for key in rest if first == "extra" else (first, *rest):
        answer = answer[key]
    return float(answer)
