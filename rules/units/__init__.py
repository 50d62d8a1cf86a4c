"""Rules about units of service."""
