"""How belief is updated: one engine a file, `fit` to run one on a model, `tree` for what comes out.

An engine is a frozen settings object with `sample(model, seed=...) -> Draws`; it knows nothing of xarray. `tree` turns draws
into a DataTree and knows nothing of engines. After sampling no code asks which engine ran.
"""
