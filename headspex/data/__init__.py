"""Training samples as players: their effects on a prediction, and their interactions."""

from headspex.data.value import TrainingValue

__all__ = ["TrainingValue"]
