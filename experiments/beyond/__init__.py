"""Beyond the mean over units: choosing, proving and breaking the measures."""
