"""What a run would cost on this machine, timed on a little of each of its parts."""
