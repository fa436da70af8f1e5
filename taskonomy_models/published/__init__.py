"""Networks of the paper's second group that other projects have published."""
