"""The formats that networks are stored in; each registers itself."""
