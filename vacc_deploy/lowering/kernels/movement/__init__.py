"""Operators that move or re-form pixels and channels."""
