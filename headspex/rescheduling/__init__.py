"""`headspex schedule`: another schedule from finished runs, judged beside their own."""
