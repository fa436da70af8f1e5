"""Whether attribution maps are faithful to the network that they explain."""
