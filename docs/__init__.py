"""The programs that make what the documentation shows."""
