"""What a person types: the command line, and the inspector in a browser."""
