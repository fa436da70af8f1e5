"""How an attribution map is computed from a frozen graph."""
