"""int8 convolutions with AMX tiles: `blocking` is how work is cut and weights packed, `kernel` the code."""
