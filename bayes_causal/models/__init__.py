"""What is believed: one file a model, each written twice (NumPyro and PyMC) and proved equal by its log density.

`base` says what a model is, `catalogue` lists the models by the names study files use, `panel_design` turns a `Panel` into the
arrays a panel model sees, `did_effects` holds the effect structures of difference-in-differences and of the hierarchical time
series.
Importing this room loads neither JAX nor PyMC; a twin loads its own library when it is called.
"""
