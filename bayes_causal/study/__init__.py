"""A study: one question, its data, its model and what is set beside the answer, in one file.

`schema` holds the keys, `read` turns a file into a `Study` or into one error with every problem, `rules` and `names` say what
cannot be combined, `run` is the one use case: data, model, posterior, baselines, checks, report. `folder` keeps a run folder
whole or absent, `manifest` says how a run came about; `template`, `shipped`, `inventory`, `interrupt` and `doctor` serve the
command line.
"""
