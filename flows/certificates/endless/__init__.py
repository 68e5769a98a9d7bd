"""What proves a flow for all times, where a system has more than that it comes to rest."""
