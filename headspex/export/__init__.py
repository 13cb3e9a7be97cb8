"""Export of a pruning mask as a checkpoint that any program loads: heads zeroed, or removed."""
