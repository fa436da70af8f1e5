"""Networks by the names that frameworks give them, a module for each."""
