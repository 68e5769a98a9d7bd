"""Observables of each system on a box, and their rates; series and spectra for them."""
