"""Methods with a rule for linear layers too, one module each.

Each registers itself; see docs/adding_a_method.md.
"""
