"""Float Winograd: `transforms` is the arithmetic, `tiles` the cut and the stages, `kernel` the whole."""
