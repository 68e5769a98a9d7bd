"""Late-time laws of gradient flows, from a loss and a minimiser; knows no system and no run."""
