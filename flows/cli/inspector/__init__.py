"""The inspector: a server on this machine, the worker that computes, the form."""
