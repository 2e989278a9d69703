"""Families of difference-in-differences: how an outcome is distributed around its linear predictor, one a file.

Each family is the same parts: what it standardises, which data it refuses, its likelihood in NumPyro and in PyMC, its mean on
the scale of the outcome, and the likelihood of a unit with the random intercept integrated out. Adding a family is adding a
file and its line in `FAMILIES`.
"""

from __future__ import annotations

from bayes_causal.models.did_families.bernoulli import Bernoulli
from bayes_causal.models.did_families.family import Family
from bayes_causal.models.did_families.gaussian import Gaussian
from bayes_causal.models.did_families.lognormal_hurdle import LognormalHurdle
from bayes_causal.models.did_families.negative_binomial import NegativeBinomial
from bayes_causal.models.did_families.poisson import Poisson
from bayes_causal.models.did_families.student_t import StudentT

FAMILIES: dict[str, Family] = {
    "gaussian": Gaussian(),
    "student_t": StudentT(),
    "poisson": Poisson(),
    "negative_binomial": NegativeBinomial(),
    "bernoulli": Bernoulli(),
    "lognormal_hurdle": LognormalHurdle(),
}


def impossible(family: str, errors: str | None, unit_slopes: bool) -> list[str]:
    """Options that a family does not have, with the reason; none for a family that does not exist."""
    known, problems = FAMILIES.get(family), []
    if known and errors and errors not in known.errors:
        problems.append(f"family '{family}' has errors 'iid' only, not '{errors}': {known.why_iid}")
    if known and unit_slopes and not known.normal:
        problems.append(f"unit_slopes need family 'gaussian', not '{family}': they are integrated out as normals")
    return problems


__all__ = ["FAMILIES", "Family", "impossible"]
