"""Small networks in torch: a regime classifier with attention and an effect network with a likelihood, and what both share.

Every other module here imports torch at its top and is imported by the functions that need it: `regime_classifier` and
`torch_effect`. `training` fits, `attention` and `effects` are the networks, `exported` writes them for other programs.
"""
