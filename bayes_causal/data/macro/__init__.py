"""Macroeconomic series from where they are published to monthly shocks, features and returns, with nothing known too early.

`series` says which series there are and what every one is; `fred`, `yahoo`, `world_bank` and `wide_file` are the sources, one a
file, behind the protocol of `source`; `patience` asks them again, slowly; `lake` keeps files on any fsspec path, whole or not at
all; `bronze` holds what was received, `silver` what was known at the end of every month, `gold` the shocks, features and returns
made of that; `quality` says which series can be used; `build` does all of it.
"""
