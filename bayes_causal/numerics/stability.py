"""Whether an effect is the same in several windows of time. NumPy alone.

Cochran (1954), doi:10.2307/3001666; DerSimonian and Laird (1986), doi:10.1016/0197-2456(86)90046-2; share of variance: Higgins
and Thompson (2002), doi:10.1002/sim.1186. Windows are taken for independent: they must not overlap.
"""

from __future__ import annotations

import numpy as np


def across_windows(values: np.ndarray, errors: np.ndarray) -> dict[str, float]:
    """Estimates (W,) of windows with their standard errors (W,): one effect, or several?

    Returns
    -------
    dict
        pooled and pooled_error, weighted by precision; statistic, df and p_value of the hypothesis of one effect (chi-square);
        spread, the sd of effects across windows beyond their errors (moment estimate); share, of the variance between estimates
        that is no error, 0 to 1; sign, the share of windows whose estimate has the sign of the pooled one.

    Raises
    ------
    ValueError
        Fewer than two windows, or errors that are not positive numbers.
    """
    from scipy.special import chdtrc

    if values.size < 2 or values.shape != errors.shape or not (np.isfinite(values).all() and (errors > 0).all()):
        raise ValueError(f"stability needs two windows or more with positive errors, and got {values} with errors {errors}")
    weight = 1 / errors**2
    pooled = float(weight @ values / weight.sum())
    statistic, df = float(weight @ (values - pooled) ** 2), values.size - 1
    between = max(0.0, (statistic - df) / float(weight.sum() - (weight @ weight) / weight.sum()))
    return {
        "pooled": pooled,
        "pooled_error": float(weight.sum() ** -0.5),
        "statistic": statistic,
        "df": float(df),
        "p_value": float(chdtrc(df, statistic)),
        "spread": float(np.sqrt(between)),
        "share": max(0.0, 1 - df / statistic) if statistic > 0 else 0.0,
        "sign": float((np.sign(values) == np.sign(pooled)).mean()),
    }
