"""Other weights for the same network: channels that int8 treats better."""
