"""The model that ships, and everything that made it: questions, tokenizer, training."""
