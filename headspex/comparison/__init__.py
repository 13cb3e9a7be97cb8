"""Other methods on the scores of a run."""
