"""What is shown: pages, figures, formulas. It shows numbers and computes none."""
