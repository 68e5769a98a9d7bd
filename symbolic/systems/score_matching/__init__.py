"""Score matching: calculus, the cluster, the tail, the stationary point."""
