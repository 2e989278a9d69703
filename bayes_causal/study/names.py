"""The names study files use: those this version runs, and those that are reserved for later ones."""

from __future__ import annotations

from collections.abc import Iterable

from bayes_causal.errors import closest

PLANNED = {
    "model": (
        "synthetic_control structural_time_series regime_switching randomised_experiment regression_model "
        "regression_discontinuity instrumental_variable propensity_model heterogeneous_effects"
    ).split(),
    "engine": "collapsed gibbs chees variational".split(),
    "baseline": (
        "did_2x2 callaway_santanna sun_abraham did2s sc_classic sc_demeaned sc_ridge sdid did_simple ols_pre_period "
        "unobserved_components arima markov_mle local_projection linear_dml causal_forest_dml x_learner dr_learner "
        "torch_effect t_test z_test ols logit rdrobust iv_2sls iv_liml ipw aipw matching s_learner t_learner"
    ).split(),
    "check": (
        "posterior_predictive prior_predictive prior_sensitivity pretrend placebo_time placebo_space leave_one_out "
        "twfe_weights few_clusters overlap mde selection hull donor_concentration honest_did control_drift false_alarms "
        "label_switching look_ahead walk_forward regime_classifier balance density weak_instrument refutation "
        "omitted_variable e_value"
    ).split(),
}
"""Names of the interface that this version may not have; whatever a catalogue holds is available."""


def refuse(what: str, name: str, available: Iterable[str], *, of: str = "") -> str | None:
    """Why a name cannot be used, or None where it can.

    Parameters
    ----------
    what : str
        What is named: a key of `PLANNED`, or anything else ("prior", say).
    name : str
    available : iterable of str
        The names of this version.
    of : str
        Whose name it is, as "of hierarchical_did".
    """
    available = list(available)
    if name in available:
        return None
    if name in PLANNED.get(what, ()):
        shown = ", ".join(available) or "none"
        return f"{what} '{name}' is not available yet{f' for {of}' if of else ' in this version'} (available: {shown})"
    return f"{what} '{name}' does not exist{f' in {of}' if of else ''}{closest(name, available)}"
