"""Pure arithmetic over arrays: no model, no data frame, no probabilistic language.

Functions take arrays with the shapes in their docstrings and return arrays. Letters are those of the cited papers.
"""
