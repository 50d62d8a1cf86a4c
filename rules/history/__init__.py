"""Rules about timing and earlier claims."""
