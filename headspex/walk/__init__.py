"""Refining a schedule on the model: which masks to score next, and how to use their scores."""
