"""Rules about procedure, modifier and diagnosis coding."""
