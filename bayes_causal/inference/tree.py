"""Draws to a DataTree: one schema for every model and engine, checked, saved and loaded without loss."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from bayes_causal.errors import TreeError
from bayes_causal.models.base import Describes, Model, Natural, Simulates, rows_missing

ATTRIBUTE = "bayes_causal"
GROUPS = (
    "posterior",
    "sample_stats",
    "posterior_predictive",
    "log_likelihood",
    "log_prior",
    "prior",
    "prior_predictive",
    "observed_data",
    "constant_data",
)
REQUIRED = ("posterior", "sample_stats", "log_prior", "prior", "observed_data", "constant_data")
PACKAGES = ("bayes-causal", "numpy", "xarray", "jax", "numpyro", "pymc", "nutpie", "arviz-stats")
KEYS = ("model", "options", "priors", "engine", "seed", "versions", "device", "precision", "data_digest", "seconds")


def dataset(model: Model, arrays: Mapping[str, np.ndarray], lead: tuple[str, ...]) -> xr.Dataset:
    """Arrays with leading dims `lead` as a Dataset with the model's dims and labels.

    Raises
    ------
    TreeError
        A variable whose shape does not fit the dims the model gives it.
    """
    dims, coords = model.dims(), model.coords()
    variables, wrong = {}, []
    for name, values in arrays.items():
        own = dims.get(name, tuple(f"{name}_dim_{k}" for k in range(values.ndim - len(lead))))
        if len(own) != values.ndim - len(lead):
            wrong.append(f"'{name}' has shape {values.shape[len(lead) :]} but the model gives it dims {own}")
            continue
        variables[name] = ((*lead, *own), values)
    if wrong:
        raise TreeError("; ".join(wrong))
    used = {d for v in variables.values() for d in v[0]}
    labels = {d: np.asarray(coords[d]) for d in used if d in coords}
    sizes = {d: n for v in variables.values() for d, n in zip(v[0], v[1].shape, strict=True)}
    labels |= {d: np.arange(sizes[d]) for d in lead if d in sizes}
    return xr.Dataset(variables, labels)


def assemble(
    model: Model,
    sites: Mapping[str, np.ndarray],
    stats: Mapping[str, np.ndarray],
    *,
    prior: Mapping[str, np.ndarray],
    pointwise: xr.DataArray | None,
    log_prior: Mapping[str, np.ndarray],
    kept: tuple[int, int],
    predicted: np.ndarray | None,
    prior_predicted: np.ndarray | None,
    record: Mapping[str, Any],
) -> xr.DataTree:
    """The tree of a fit.

    Parameters
    ----------
    sites : (chain, draw, ...) posterior sites; stats : (chain, draw)
    prior : (n, ...) sites drawn from the prior
    pointwise : (sample, piece) log likelihood, sample running over `kept` = (chains, draws); log_prior : (sample,) a site
    predicted, prior_predicted : (n, *observed dims) outcomes in natural units
    record : engine, seed, seconds
    """
    natural = model.natural if isinstance(model, Natural) else dict
    sample = ("chain", "draw")
    groups: dict[str, xr.Dataset] = {
        "posterior": dataset(model, natural(sites), sample),
        "sample_stats": dataset(model, stats, sample),
        "prior": dataset(model, natural({k: v[None] for k, v in prior.items()}), sample),
        "log_prior": xr.Dataset(
            {k: (sample, v.reshape(kept)) for k, v in log_prior.items()},
            {d: np.arange(n) for d, n in zip(sample, kept, strict=True)},
        ),
        "constant_data": model.constant_data() if isinstance(model, Describes) else xr.Dataset(),
    }
    if pointwise is not None:
        piece = str(pointwise.dims[1])
        labels = {piece: np.asarray(model.coords()[piece])} if piece in model.coords() else {}
        values = pointwise.values.reshape(*kept, -1)
        labels |= {"chain": np.arange(kept[0]), "draw": np.arange(kept[1])}
        groups["log_likelihood"] = xr.Dataset({"y": ((*sample, piece), values)}, labels)
    observed = model.observed() if isinstance(model, Simulates) and not rows_missing(model) else None
    groups["observed_data"] = xr.Dataset() if observed is None else observed.to_dataset(name="y")
    rest = tuple(str(d) for d in observed.dims) if observed is not None else None
    for name, outcomes in (("posterior_predictive", predicted), ("prior_predictive", prior_predicted)):
        if outcomes is not None:
            own = rest or tuple(f"y_dim_{k}" for k in range(outcomes.ndim - 1))
            labels = {d: np.arange(n) for d, n in zip(sample, (1, len(outcomes)), strict=True)}
            groups[name] = xr.Dataset({"y": ((*sample, *own), outcomes[None])}, labels)
    tree = xr.DataTree.from_dict(groups)
    data = groups["observed_data"] if observed is not None else groups["constant_data"]
    tree.attrs[ATTRIBUTE] = json.dumps(_record(model, data, record), default=_jsonable)
    validate(tree)
    return tree


def info(tree: xr.DataTree) -> dict[str, Any]:
    """Model, options, priors, engine, seed, versions, device, data digest and wall times of a fit."""
    if ATTRIBUTE not in tree.attrs:
        raise TreeError("this tree was not made by bayes_causal.fit: its root has no 'bayes_causal' attribute")
    return dict(json.loads(tree.attrs[ATTRIBUTE]))


def validate(tree: xr.DataTree) -> None:
    """Raise TreeError, listing every departure from the schema.

    The schema: the required groups are there; posterior, prior, sample_stats, log_prior and log_likelihood variables lead
    with chain and draw; numbers are finite in the posterior; the root attribute holds its keys.
    """
    problems = [f"group '{g}' is missing" for g in REQUIRED if g not in tree.children]
    problems += [f"group '{g}' is not part of the schema" for g in tree.children if g not in GROUPS]
    for group in (
        "posterior",
        "prior",
        "sample_stats",
        "log_prior",
        "log_likelihood",
        "posterior_predictive",
        "prior_predictive",
    ):
        if group in tree.children:
            for name, variable in tree[group].data_vars.items():
                if variable.dims[:2] != ("chain", "draw"):
                    problems.append(f"{group}['{name}'] has dims {variable.dims}, not (chain, draw, ...)")
    if "posterior" in tree.children:
        for name, variable in tree["posterior"].data_vars.items():
            if not np.isfinite(variable.values).all():
                problems.append(f"posterior['{name}'] holds values that are not finite")
    known = info(tree) if ATTRIBUTE in tree.attrs else {}
    problems += [f"the root attribute lacks '{k}'" for k in KEYS if k not in known]
    if problems:
        raise TreeError("the tree does not follow the schema: " + "; ".join(problems))


def save(tree: xr.DataTree, path: str | Path) -> Path:
    """Write a tree to netCDF (`.nc`) or Zarr (`.zarr`), without loss."""
    path = Path(path)
    if path.suffix == ".nc":
        tree.to_netcdf(path, engine="h5netcdf")
    elif path.suffix == ".zarr":
        tree.to_zarr(path, mode="w", consolidated=False)
    else:
        raise TreeError(f"a tree is saved to a path that ends in .nc or .zarr, not '{path.name}'")
    return path


def load(path: str | Path) -> xr.DataTree:
    """Read a tree that `save` wrote, into memory, and check its schema."""
    path = Path(path)
    if not path.exists():
        raise TreeError(f"there is no tree at {path}")
    how: dict[str, Any] = {"engine": "zarr", "consolidated": False} if path.suffix == ".zarr" else {"engine": "h5netcdf"}
    with xr.open_datatree(path, **how) as opened:
        tree = opened.load()
    validate(tree)
    return tree


save_tree, load_tree = save, load
"""The same under the names that the top of the package gives them."""


def _record(model: Model, observed: xr.Dataset, record: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if is_dataclass(model):
        options = {f.name: getattr(model, f.name) for f in fields(model) if _is_plain(getattr(model, f.name))}
    priors = getattr(model, "priors", None)
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(v.values).tobytes() for v in observed.data_vars.values()))
    return {
        "model": model.name,
        "options": options,
        "priors": asdict(priors) if is_dataclass(priors) and not isinstance(priors, type) else {},
        "versions": {p: _version(p) for p in PACKAGES if _version(p)},
        "device": _device(),
        "precision": "float64",
        "python": platform.python_version(),
        "data_digest": digest.hexdigest(),
    } | dict(record)


def _device() -> str:
    import jax

    return str(jax.devices()[0].device_kind)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool, tuple, list))


def _jsonable(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)
