"""What certificates evaluate of each system in boxes: potentials, spectra, series."""
