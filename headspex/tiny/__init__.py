"""The shipped model, and the code that made it: questions, tokenizer, training."""
