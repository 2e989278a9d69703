"""From a `Panel` to the arrays a panel model sees: rows, columns and unit-level terms, on the standardised scale.

Rows are the observed cells in unit-major order. Every array is NumPy; both twins see the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from bayes_causal.data.panel import Panel

RANK_TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class Deviations:
    """How the units behind a unit of a `PanelDesign` differ from their mean, which is what it holds.

    Parameters
    ----------
    terms : (j,) positions of the unit-level terms that differ
    spread : (U, T, k, T, k) sums of products of two deviations; k columns: these terms, the covariates, y
    """

    terms: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True, eq=False)
class PanelDesign:
    """The data of a linear panel model. N rows, U units, T times, K effect columns, C covariates, M unit-level terms.

    Parameters
    ----------
    y : (N,) outcome minus `center`, over `scale`
    sqrt_weight : (N,) square roots of the precision weights
    unit, time : (N,) positions of the row's unit and time
    gap : (N,) periods since the unit's previous observed row, 0 on its first
    effect : (N, K) treatment columns, raw counts of active treatments
    active : (N,) number of active treatments
    covariates : (N, C) centred, unit sd
    covariate_scale : (C,) the sds they were divided by, in the covariate's unit
    unit_terms : (U, M) unit means of every column, centred, unit sd, of full rank
    unit_term_names : M names
    contrasts : (T, T-1) orthonormal, columns summing to zero
    center, scale : natural units of the outcome
    copies : (U,) units that each unit stands for, where units that share every column are kept as their mean; else None
    within : what such units differ by; else None
    """

    y: np.ndarray
    sqrt_weight: np.ndarray
    unit: np.ndarray
    time: np.ndarray
    gap: np.ndarray
    effect: np.ndarray
    active: np.ndarray
    covariates: np.ndarray
    covariate_scale: np.ndarray
    unit_terms: np.ndarray
    unit_term_names: tuple[str, ...]
    contrasts: np.ndarray
    center: float
    scale: float
    copies: np.ndarray | None = None
    within: Deviations | None = None

    @property
    def mass(self) -> np.ndarray:
        """(N,) precision weight of each row, as often as there are units behind it."""
        weight = self.sqrt_weight**2
        return weight if self.copies is None else weight * self.copies[self.unit]

    @property
    def starts(self) -> np.ndarray:
        """(U,) index of each unit's first row."""
        return np.flatnonzero(self.gap == 0)

    @property
    def n_units(self) -> int:
        """U."""
        return self.unit_terms.shape[0]

    @property
    def n_times(self) -> int:
        """T."""
        return self.contrasts.shape[0]

    def of_units(self, units: np.ndarray) -> PanelDesign:
        """The rows of some (U,) units alone, everything else as it is."""
        rows = units[self.unit]
        place = np.cumsum(units) - 1
        return replace(
            self,
            y=self.y[rows],
            sqrt_weight=self.sqrt_weight[rows],
            unit=place[self.unit[rows]],
            time=self.time[rows],
            gap=self.gap[rows],
            effect=self.effect[rows],
            active=self.active[rows],
            covariates=self.covariates[rows],
            unit_terms=self.unit_terms[units],
            copies=None if self.copies is None else self.copies[units],
        )

    @property
    def grid(self) -> bool:
        """Every unit observed at every time, so that rows reshape to (U, T)."""
        return self.y.size == self.n_units * self.n_times


def panel_design(panel: Panel, effect: np.ndarray, effect_names: tuple[str, ...], *, two_terms: bool) -> PanelDesign:
    """The design of a panel for given effect columns.

    Parameters
    ----------
    effect : (N, K) columns over the panel's observed cells in unit-major order
    two_terms : bool
        Two unit-level terms a column, the mean and the mean of the first and last row: what makes a correlated random effects
        model equal fixed-effects generalised least squares under AR(1) errors. One term, the mean, suffices under iid errors.
    """
    unit, time = np.nonzero(panel.observed)
    period = panel.dataset["period"].values
    first = np.r_[True, unit[1:] != unit[:-1]]
    gap = np.where(first, 0, np.r_[0, np.diff(period[time])])
    weight = panel.dataset["weight"].values[unit, time]
    raw = panel.dataset["covariates"].values[unit, time] if "covariates" in panel.dataset else np.zeros((unit.size, 0))
    x_scale = raw.std(0) if raw.size else np.ones(0)
    x_scale = np.where(x_scale > 0, x_scale, 1.0)
    x = (raw - raw.mean(0)) / x_scale if raw.size else raw
    names = [*effect_names, *(str(c) for c in panel.dataset["covariate"].values)] if raw.shape[1] else list(effect_names)
    columns = [effect, x]
    if not panel.balanced:
        columns.append((time[:, None] == np.arange(1, period.size)).astype(float))
        names += [f"time {t}" for t in panel.dataset["time"].values[1:]]
    means, labels = unit_means(np.hstack(columns), weight, np.flatnonzero(first), two_terms, names)
    means = means - means.mean(0)
    terms, kept = full_rank_terms(means, means.std(0), means)
    return PanelDesign(
        y=(panel.dataset["outcome"].values[unit, time] - panel.center) / panel.scale,
        sqrt_weight=np.sqrt(weight),
        unit=unit,
        time=time,
        gap=gap,
        effect=effect,
        active=panel.dataset["treatment"].values[unit, time].sum(1).astype(float),
        covariates=x,
        covariate_scale=x_scale,
        unit_terms=terms,
        unit_term_names=tuple(labels[k] for k in kept),
        contrasts=sum_to_zero(period.size),
        center=panel.center,
        scale=panel.scale,
    )


def of_rows(design: PanelDesign, rows: np.ndarray) -> PanelDesign:
    """Some (N,) rows alone, their unit-level terms formed over them; a unit without any has those of the average unit.

    Gaps count rows, not periods: for errors that are independent.
    """
    unit, time = design.unit[rows], design.time[rows]
    first = np.r_[True, unit[1:] != unit[:-1]]
    dummies = (time[:, None] == np.arange(1, design.n_times)).astype(float)
    columns = np.hstack([design.effect[rows], design.covariates[rows], dummies])
    names = [str(k) for k in range(columns.shape[1])]
    means, labels = unit_means(columns, design.sqrt_weight[rows] ** 2, np.flatnonzero(first), False, names)
    means = means - means.mean(0)
    found, kept = full_rank_terms(means, means.std(0), means)
    terms = np.zeros((design.n_units, found.shape[1]))
    terms[unit[first]] = found
    return replace(
        design,
        y=design.y[rows],
        sqrt_weight=design.sqrt_weight[rows],
        unit=unit,
        time=time,
        gap=np.where(first, 0, 1),
        effect=design.effect[rows],
        active=design.active[rows],
        covariates=design.covariates[rows],
        unit_terms=terms,
        unit_term_names=tuple(labels[k] for k in kept),
    )


def sum_to_zero(t: int) -> np.ndarray:
    """(T, T-1) orthonormal contrasts, each column summing to zero (Helmert)."""
    return linalg.helmert(t).T


def unit_means(
    z: np.ndarray, weight: np.ndarray, starts: np.ndarray, two_terms: bool, names: list[str]
) -> tuple[np.ndarray, list[str]]:
    """(U, M) weighted unit means of (N, q) columns, with `two_terms` also the means of first and last row; and their names."""
    total = np.add.reduceat(weight, starts)
    means = np.add.reduceat(z * weight[:, None], starts) / total[:, None]
    labels = [f"mean of {n}" for n in names]
    if two_terms:
        ends = np.r_[starts[1:], weight.size] - 1
        means = np.hstack([means, (z[starts] + z[ends]) / 2])
        labels += [f"ends of {n}" for n in names]
    return means, labels


def full_rank_terms(means: np.ndarray, sd: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Terms (U, K) of unit sd and full rank from centred (U, M) ones, and the (K,) positions of those kept.

    `rows` (r, M) have the rank of the units' terms: the terms themselves, or fewer rows with the same Gram matrix.
    """
    moves = np.flatnonzero(sd > RANK_TOLERANCE * np.maximum(1.0, np.abs(means).max(0, initial=0.0)))
    keep = moves[moves_of_full_rank(rows[:, moves] / sd[moves])]
    return means[:, keep] / sd[keep], keep


def moves_of_full_rank(columns: np.ndarray) -> np.ndarray:
    """Positions of the columns that are linearly independent of those before them.

    The order of the columns decides, never that of the units: pivoting on norms would, as all columns have the same.
    """
    if columns.shape[1] == 0:
        return np.zeros(0, int)
    r = linalg.qr(columns, mode="r")[0][: columns.shape[1]]
    basis, kept = np.zeros((r.shape[0], 0)), []
    for k, column in enumerate(r.T):
        left = column - basis @ (basis.T @ column)
        left -= basis @ (basis.T @ left)
        if np.linalg.norm(left) > RANK_TOLERANCE * np.linalg.norm(column):
            basis = np.column_stack([basis, left / np.linalg.norm(left)])
            kept.append(k)
    return np.array(kept, int)


def column_norms(d: PanelDesign, columns: np.ndarray) -> np.ndarray:
    """(K,) lengths of (N, K) columns, rows weighed by their mass: the yardstick of `in_row_space`."""
    return np.asarray(np.linalg.norm(np.sqrt(d.mass)[:, None] * columns, axis=0))


def within_gram(design: PanelDesign, columns: np.ndarray) -> np.ndarray:
    """Gram matrix of (N, q) columns after weighted removal of unit and time effects.

    Unit means are removed by sums over units; time effects by the Schur complement of their own within-unit Gram matrix, so that
    unbalanced and weighted panels are exact.
    """
    w = design.mass
    dummies = (design.time[:, None] == np.arange(1, design.n_times)).astype(float)
    z = np.hstack([dummies, columns])
    s = np.add.reduceat(z * w[:, None], design.starts)
    a = (z * w[:, None]).T @ z - (s / np.add.reduceat(w, design.starts)[:, None]).T @ s
    t = dummies.shape[1]
    return a[t:, t:] - a[t:, :t] @ np.linalg.pinv(a[:t, :t], rcond=1e-12, hermitian=True) @ a[:t, t:]


def in_row_space(gram: np.ndarray, contrast: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Whether the data identify each contrast of coefficients.

    Parameters
    ----------
    gram : (q, q) within Gram matrix of the columns
    contrast : (b, q) linear combinations of their coefficients
    scale : (q,) raw column norms, against which a within norm counts as zero

    Returns
    -------
    (b,) bool
    """
    d = 1 / np.where(scale > 0, scale, 1.0)
    eigen, vectors = np.linalg.eigh(gram * d[:, None] * d)
    null = vectors[:, eigen < RANK_TOLERANCE]
    scaled = contrast * d
    lost = np.linalg.norm(scaled @ null, axis=1)
    return lost < 1e-5 * np.maximum(np.linalg.norm(scaled, axis=1), 1e-300)
