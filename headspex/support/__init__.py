"""What every room stands on: files, arrays, validation, intervals, seeds, progress."""
