"""Which layers stay in fp16, found by trying."""
