"""One module for each format that networks are stored in."""
