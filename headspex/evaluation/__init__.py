"""Scores of one model, whole or under a mask: on a task, in lm-eval, on a text."""
