"""Built-in tasks of paired prompts, generated from templates and words of our own."""
