"""``python -m flows`` is ``popflow``."""

import sys

from flows.cli import main

sys.exit(main())
