"""From masks and their values to a spectrum, and what can be read off it; knows no model."""
