"""A folder for the module search path: its files are what ``import vaststreamx`` finds in child processes."""
