"""A run and its folder: what is found, written, watched, told again."""
