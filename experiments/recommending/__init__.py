"""Which network to transfer from: gathers evidence, and tells the answer."""
