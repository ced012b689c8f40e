"""Exact int8 convolutions: uint8 planes times int8 weights, int32 sums, one rounding."""
