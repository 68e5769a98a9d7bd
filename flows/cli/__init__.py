"""The command line, and the inspector in a browser."""
