"""What makes the tables and figures under results/."""
