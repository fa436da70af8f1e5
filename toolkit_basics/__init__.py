"""Small parts that every floor uses."""
