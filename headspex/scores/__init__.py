"""What masks score on a model: measured in blocks, kept, spread over machines."""
