"""Training samples as players: what a prediction owes to which of them, and to which together."""

from headspex.data.value import TrainingValue

__all__ = ["TrainingValue"]
