"""Ways to fit a spectrum to masks and values, and the cross-validation that chooses one."""
