"""A pruning mask as a checkpoint that any program loads: heads zeroed, or really taken out."""
