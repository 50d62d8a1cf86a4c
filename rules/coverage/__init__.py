"""Rules about medical coverage."""
