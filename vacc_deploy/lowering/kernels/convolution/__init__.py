"""Convolutions and matrix products, on codes (q…) and on floats (h…)."""
