"""Critical points: found by Newton's method, and proved in ball arithmetic where a form exists."""
