"""Damaged and hostile inputs, made from real ones by a seed."""
