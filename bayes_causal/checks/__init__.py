"""Whether to believe it: functions of a model and its tree that return a `Check`.

`catalogue` lists the checks by the names study files use and runs them. Convergence gates the verdict; the others inform or warn.
A check that does not apply to a model says why, and passes nothing.
"""
