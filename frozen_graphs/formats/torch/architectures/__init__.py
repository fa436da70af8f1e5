"""Networks whose packages hold weights, but no graph to go with them."""
