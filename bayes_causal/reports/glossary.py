"""What the names in result rows mean: methods, their weights, the handbook's table of tests, options, engines.

Words on a model stand in its catalogue entry; those of models to come stand here until they have one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayes_causal.models.catalogue import MODELS

METHODS = {name: entry.label for name, entry in MODELS.items()} | {
    "twfe": "Two-way fixed effects",
    "event_study": "Event study (two-way)",
    "did_2x2": "2×2 DiD",
    "callaway_santanna": "Callaway–Sant’Anna",
    "sun_abraham": "Sun–Abraham",
    "did2s": "Two-stage DiD (Gardner)",
    "sc_classic": "Synthetic control",
    "sc_demeaned": "Synthetic control, demeaned",
    "sc_ridge": "Synthetic control, ridge-augmented",
    "sdid": "Synthetic DiD",
    "did_simple": "2×2 DiD of all donors",
    "ols_pre_period": "Least squares, pre-period",
    "unobserved_components": "Unobserved components",
    "arima": "ARIMA regression",
    "markov_mle": "Markov switching, ML",
    "local_projection": "Local projection",
    "linear_dml": "Double ML, linear",
    "causal_forest_dml": "Double ML, causal forest",
    "dr_learner": "Doubly robust learner",
    "x_learner": "X-learner",
    "torch_effect": "Neural network",
}

WEIGHTS = {name: entry.weighs for name, entry in MODELS.items()} | {
    "twfe": (
        "weights treated cells by the treatment variation left after unit and period effects; with staggered or switching "
        "treatment some weights can be negative, and then it is not an average of effects when effects differ "
        "(Goodman-Bacon 2021, doi:10.1016/j.jeconom.2021.03.014)"
    ),
    "event_study": (
        "takes its leads and lags from one two-way regression; where cohorts differ, each coefficient picks up effects from "
        "other event times (Sun and Abraham 2021, doi:10.1016/j.jeconom.2020.09.006)"
    ),
    "did_2x2": "contrasts two averages, before and after, so that every period counts equally and the dates of onset are ignored",
    "callaway_santanna": (
        "averages the effects of each cohort in each period, by cohort size, using long differences from the period before "
        "onset; by default its leads compare each period with the one before it (doi:10.1016/j.jeconom.2020.12.001)"
    ),
    "sun_abraham": "averages event studies made cohort by cohort, by each cohort's share (doi:10.1016/j.jeconom.2020.09.006)",
    "did2s": (
        "fits unit and period effects on untreated cells only and averages what is left over the treated cells: the weights of "
        "the headline, without pooling or prior (arXiv:2207.05943)"
    ),
    "sc_classic": (
        "compares with the one average of donors that comes closest before the treatment, as if its weights were known; where "
        "the treated unit lies outside what donors span, the gap before carries over"
    ),
    "sc_demeaned": "takes the mean gap before the treatment away, so that only movements are matched, not levels",
    "sc_ridge": (
        "bends the weights until what gap is left before the treatment is nearly gone, below zero where that helps "
        "(doi:10.1080/01621459.2021.1929245)"
    ),
    "sdid": (
        "spreads weight over more donors than synthetic control, and compares with the periods before that resemble those after "
        "(doi:10.1257/aer.20190159)"
    ),
    "did_simple": "gives every donor and every period the same weight",
    "ols_pre_period": (
        "takes the level to stand still and the relation to the controls to be known from the pre-period; where the level "
        "drifts, its interval is too narrow"
    ),
    "unobserved_components": (
        "is a structural time series by maximum likelihood: no prior holds the drift of the level, which is estimated at zero "
        "often, and its uncertainty is left out"
    ),
    "arima": (
        "lets errors persist, or drift where a unit root test does not reject it; the orders are chosen on the pre-period and "
        "then taken as known"
    ),
    "markov_mle": (
        "takes each series alone, with regimes of its own, and effects of the regime of the shock's own date; it averages them "
        "with today's probabilities, which it takes as known"
    ),
    "local_projection": "is one effect for all dates, whatever their regime",
    "linear_dml": "is one effect for all dates, whatever their regime, from what earlier blocks of time could not foretell",
    "causal_forest_dml": "averages effects that vary with lags and controls, from what earlier blocks of time could not foretell",
    "dr_learner": "compares dates with the shock above a threshold with all others: an effect of crossing it, not of a unit",
    "x_learner": "compares dates with the shock above a threshold with all others: an effect of crossing it, not of a unit",
    "torch_effect": "averages effects that a network learnt from earlier blocks of time",
}

# The handbook's table: method, what is actually tested, test.
TESTED = (
    ("A/B test", "difference in means", "t or z"),
    ("difference-in-differences", "pre-post change across groups", "regression, t"),
    ("regression", "treatment coefficient ≠ 0", "t"),
    ("propensity score matching", "outcome difference after matching", "t / non-parametric"),
    ("instrumental variables", "effect of instrument on outcome", "t on 2SLS"),
    ("CausalImpact", "deviation from expected trend", "Bayesian posterior"),
    ("uplift", "differential effect per individual", "model-based; uplift > 0"),
)

TESTED_BY = {name: entry.handbook for name, entry in MODELS.items()} | {
    "randomised_experiment": "A/B test",
    "regression_model": "regression",
    "regression_discontinuity": "regression",
    "propensity_model": "propensity score matching",
    "instrumental_variable": "instrumental variables",
    "heterogeneous_effects": "uplift",
}

TAKEN_ON_TRUST = {
    "difference-in-differences": (
        "that treated and untreated would have moved in parallel without treatment, and that nobody reacted early"
    ),
    "regression": "that nothing left out of the regression moves both treatment and outcome",
    "CausalImpact": "that the controls were untouched by the intervention and keep their relation to the outcome",
    "instrumental variables": "that the instrument moves the outcome through the treatment alone",
    "propensity score matching": "that units alike in the covariates are alike in everything else that matters",
    "A/B test": "that assignment was random and one unit's treatment leaves the others alone",
    "uplift": "that treatment was as good as random given the covariates",
}

# The outcome of families that are not normal: its line, and what its symbols mean.
FAMILIES = {
    "student_t": (
        "y_it = η_it + ε_it,   ε_it ~ t_ν(0, σ)",
        ("ν, σ", "heaviness of the tails (low is heavy) and size of the errors"),
    ),
    "poisson": ("y_it ~ Poisson(exp η_it)", ("exp η_it", "expected count")),
    "negative_binomial": (
        "y_it ~ NegativeBinomial(mean μ = exp η_it, variance μ + κ²μ²)",
        ("κ", "how much the level behind the counts varies; at 0 counts are Poisson"),
    ),
    "bernoulli": ("y_it ~ Bernoulli(1 / (1 + exp −η_it))", ("η_it", "log odds of a one")),
    "lognormal_hurdle": (
        "y_it > 0 with probability 1 / (1 + exp −η′_it),   then log y_it ~ N(η_it, σ²)",
        ("η′_it", "log odds of any amount, with terms of its own (named occurrence_…) that are those of η_it over again"),
    ),
}

OPTIONS = {
    ("effect", "constant"): "one effect τ for every treated cell",
    ("effect", "group"): "one effect per group, τ_g = τ + ω z_g: groups are pooled as far as they resemble each other",
    (
        "effect",
        "event_time",
    ): "effects by periods since onset, a random walk over lags and another over leads; the period before onset is zero",
    ("effect", "cohort_time"): "an effect for every cohort and period, shrunk to event-time means",
    ("errors", "ar1"): "errors of a unit are correlated from period to period",
    ("errors", "iid"): "errors are independent",
    ("family", "gaussian"): "outcomes are normal around their mean",
    ("family", "student_t"): "outcomes have heavier tails than normal ones",
    ("family", "poisson"): "outcomes are counts; terms add up in logarithms, effects are differences of expected counts",
    (
        "family",
        "negative_binomial",
    ): "outcomes are counts that vary more than their mean; effects are differences of expected counts",
    ("family", "bernoulli"): "outcomes are 0 or 1; terms add up in log odds, effects are differences of probabilities",
    ("family", "lognormal_hurdle"): "outcomes are amounts with zeros; effects on both margins together, in the outcome's unit",
    ("unit_slopes", "True"): "the effect differs between units at random; answers are about the treated units in the data",
    ("unit_slopes", "False"): "units of one group respond alike",
    ("time_effects", "fixed"): "period effects are as good as fixed",
    ("time_effects", "random_walk"): "period effects follow a random walk",
    ("weights", "simplex"): "no donor counts negatively, and together they count once",
    ("intercept", "True"): "the treated unit may lie above or below its weighted donors",
    ("intercept", "False"): "the treated unit lies among its weighted donors",
    ("level", "local_level"): "the level is a random walk",
    ("level", "local_linear_trend"): "the level is a random walk with a slope that wanders too",
    ("level", "semilocal"): "the level is a random walk with a slope that returns to a slope of the long run",
    ("dynamic", "True"): "coefficients of controls wander over time",
    ("regression", "none"): "no control has a coefficient that stays",
    ("regression", "spike_slab"): "each control is in the model or not, with a probability that the data revise",
    ("regression", "ridge"): "every control is in the model, its coefficient pulled towards zero",
    ("regression", "horseshoe"): "every control is in the model; small coefficients are pulled to almost zero, large ones hardly",
    ("errors", "student_t"): "errors have heavier tails than normal ones: a date far off says little about the others",
    ("errors", "gaussian"): "errors are normal",
    ("prior_set", "calibrated"): "priors under which intervals cover null series at their level",
    (
        "prior_set",
        "causalimpact",
    ): "the defaults of R's CausalImpact, for comparison: too narrow where levels move or errors persist",
    ("ar", "1"): "what is left is correlated from date to date",
    ("ar", "0"): "what is left is independent from date to date",
}

_NUTS = "The No-U-Turn sampler walks through all parameters at once; R-hat and effective sample sizes say whether it arrived. "
ENGINES = {
    "collapsed": (
        "Given a few scales (sizes of noise, of what differs or wanders, of pooling) levels, period effects and treatment "
        "effects are integrated out: exactly where the model is linear and Gaussian, else by a Laplace approximation. Values of "
        "the scales, and of the effects where they are approximated, are proposed from an approximation, weighted by the exact "
        "density and resampled; everything else is then drawn exactly. A Pareto k below 0.7 says that the weights can be "
        "trusted; the share that is effective says how good the approximation was. Where it is not good enough, NUTS samples "
        "instead, and the path says so."
    ),
    "gibbs": (
        "Parameters are drawn block by block, each block given the others, from its exact distribution or by a Metropolis step "
        "that the exact density accepts, with what is Gaussian integrated out. R-hat and effective sample sizes say whether the "
        "chains arrived."
    ),
    "nuts": _NUTS + "Run by NumPyro.",
    "pymc": _NUTS + "Run by PyMC.",
    "nutpie": _NUTS + "Run by nutpie on the PyMC form of the model.",
    "pymc_numpyro": _NUTS + "Run by NumPyro on the PyMC form of the model.",
}


def equations(model: str, options: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Lines of a model's equations and what their symbols mean, under its options; empty for models without an entry."""
    entry = MODELS.get(model)
    lines, symbols = (entry.equations, entry.symbols) if entry else ((), ())
    slopes = options.get("unit_slopes") is True
    if slopes and lines:
        lines = (lines[0].replace(" + ε_it", " + v_i D_it + ε_it"), *lines[1:])
        symbols = (*symbols, ("v_i D_it", "what the effect on unit i differs by, times its number of active treatments"))
    family = FAMILIES.get(str(options.get("family")))
    if family and lines:
        lines = (lines[0].replace("y_it =", "η_it =").replace(" + ε_it", ""), family[0])
        symbols = (*(s for s in symbols if s[0] != "ρ, σ"), family[1])
    return lines, symbols


def option(name: str, value: Any) -> str:
    """What a model option means, in words; empty for options without an entry."""
    if name == "window" and isinstance(value, (list, tuple)) and len(value) == 2:
        lead, lag = value
        return f"event times from −{lead} to {lag} have an effect of their own; those beyond share one on each side"
    if name == "ar" and isinstance(value, int) and value > 1:
        return f"what is left depends on the {value} dates before"
    return OPTIONS.get((name, str(value)), "")


def method_label(name: str) -> str:
    """A method's name for people; a name without an entry has its underscores read as spaces."""
    return METHODS.get(name, name.replace("_", " "))
