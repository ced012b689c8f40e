"""Operators over windows and whole pictures: pools, resizes, normalisation."""
