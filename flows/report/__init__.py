"""What is seen: pages, figures, formulas. It shows numbers and computes none."""
