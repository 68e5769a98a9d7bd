"""What is measured of each system on a box, and its rates; the series and spectra for it."""
