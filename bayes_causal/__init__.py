"""Bayesian causal inference beside its frequentist baselines.

Data come in as a `Panel`, a model is data and priors, `fit` turns it into an `xarray.DataTree`, `estimate` asks the tree a
question, `compare` sets the answer beside those of other methods, `check` says whether to believe it. `run_study` does all of it
from a file.

The public names are listed in ``__init__.pyi`` and loaded when first used: importing this package loads no sampler.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
