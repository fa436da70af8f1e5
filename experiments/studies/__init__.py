"""The experiments of the paper, its rebuttal and its reviewers' questions.

One module each; `python -m experiments.run_study NAME` conducts one,
`python -m experiments.run_paper` all of them.
"""
