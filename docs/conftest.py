"""Of this folder only the examples on the pages are tests."""

collect_ignore_glob = ["*.py", "generated/*", "_build/*"]
