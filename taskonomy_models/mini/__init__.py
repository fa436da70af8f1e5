"""The mini bank, and the code that trained it."""
