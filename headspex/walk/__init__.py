"""A schedule refined on the model itself: what is asked next, and what the answers say."""
