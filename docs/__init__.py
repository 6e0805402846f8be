"""Pages generated from the code."""
