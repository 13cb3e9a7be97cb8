"""How a run spends its forward passes."""
