"""Operators that compute each element from its own operands."""
