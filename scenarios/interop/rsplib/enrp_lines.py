"""The ENRP lines."""
LINES = []
