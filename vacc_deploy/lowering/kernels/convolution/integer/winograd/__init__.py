"""Exact integer Winograd: `forms` is the arithmetic, `tiling` how work is cut, `tiles` the code."""
