"""What is timed: each a script that prints one table."""
