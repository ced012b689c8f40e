"""Float convolutions: float16 or float32 planes, float32 sums, one rounding."""
