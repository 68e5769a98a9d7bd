"""A hidden layer that learns one of teachers: loss, gradient and Hessian; knows no run of it."""
