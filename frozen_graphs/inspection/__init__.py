"""What is in a graph that nobody has described."""
