"""From scores of candidates to an answer: which to transfer from, how surely.

NumPy and SciPy only. `situations` says which measures are asked, `scores` asks
them, `floor` finds what is no better than an untrained network, `chances` turns
scores into probabilities about measured transfer, as `calibration` measured
them, and `decision` puts it all together.
"""
