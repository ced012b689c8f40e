"""What the default does beyond the recipe, at no cost at run time."""
