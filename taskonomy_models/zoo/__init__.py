"""Public networks of any kind."""
