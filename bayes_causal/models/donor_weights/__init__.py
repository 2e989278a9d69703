"""Ways in which donors stand in for a treated unit, one kind a file.

Each is the same parts: what it asks of the options, its sites in NumPyro and in PyMC, the blocks and the sums that a Gibbs engine
takes of it, the outcome it expects without treatment, and what is reported of it. Adding a kind is adding a file, its blocks in
`numerics`, its scales in `Priors`, and its line in `KINDS`.
"""

from __future__ import annotations

from bayes_causal.models.donor_weights.factor import Factor
from bayes_causal.models.donor_weights.horseshoe import Horseshoe
from bayes_causal.models.donor_weights.simplex import Simplex
from bayes_causal.models.donor_weights.softmax import Softmax
from bayes_causal.models.donor_weights.weights import DonorWeights, Priors, Settings

KINDS: dict[str, type[DonorWeights]] = {"simplex": Simplex, "softmax": Softmax, "horseshoe": Horseshoe, "factor": Factor}

__all__ = ["KINDS", "DonorWeights", "Factor", "Horseshoe", "Priors", "Settings", "Simplex", "Softmax"]
