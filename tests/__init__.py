"""Tests of every package, and what they share."""
