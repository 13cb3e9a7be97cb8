"""From a spectrum to pruning orders and sets."""
