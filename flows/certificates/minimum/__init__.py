"""Potentials near a minimum of a loss that need be no polynomial: samples propose, balls prove."""
