"""Common to all tests: figures are drawn without a display."""

import os

os.environ["MPLBACKEND"] = "Agg"
