"""Any file or model object to a checked graph that runs."""
