"""How others answer: established estimators, each a plain function from a container to an `Estimate`, one family a file.

They share data and answer type with the Bayesian models and nothing else. `catalogue` lists them by the names study files use and
runs them; `decomposition` says what two-way fixed effects average. The arithmetic, on arrays, is in `within`, `regression`,
`few_clusters`, `cohorts`, `group_time` and `saturated` for panels, in `donors`, `simplex`, `traits`, `placebos` and `conformal`
where donors are weighed, in `forecasts` and `state_space` for series, in `time_folds`, `lagged_rows`, `orthogonal`,
`markov_models` and `networks` for several series and their shocks (`series_effects` puts them together). A method that does not
apply answers with a row that says why. Importing this room loads neither pandas nor pyfixest; its public names are those of
``__init__.pyi``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
