"""Two layers, any teachers: the system, its runs in the span of teachers and start."""
