"""Schedules from gates that are learned by gradient."""
