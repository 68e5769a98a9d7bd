"""Many runs: ensembles, searches over starts, probabilities.

It knows what one run is; it knows neither certificates nor figures.
"""
