"""What comes in: data that are valid, or not there.

`panel` is the container every panel model and baseline takes; `columns`, `identifiers`, `validate`, `treatments` and `calendar`
are the steps that build it from a table; `readers` and `load` bring files and study files to it; `examples` fetches public data
from installed packages and `macro` series from their publishers; `simulate` makes panels whose truth is known. Nothing is
dropped, filled or coerced silently; later code never checks again.
"""
